"""Prints for ever."""

from __future__ import annotations

import sys
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Chatterbox(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        while True:
            print("x" * 1_000_000, file=sys.stderr)


def make_policy() -> object:
    return Chatterbox()
