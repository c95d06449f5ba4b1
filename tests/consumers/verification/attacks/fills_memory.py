"""One process takes all the memory it gets."""

from __future__ import annotations

from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Glutton(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        eaten = []
        while True:
            eaten.append(b"x" * (1 << 20))


def make_policy() -> object:
    return Glutton()
