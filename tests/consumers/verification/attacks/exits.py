"""Ends the process instead of answering."""

from __future__ import annotations

import os
import sys
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Gone(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        print("good bye \x1b[2J", file=sys.stderr, flush=True)
        os._exit(3)


def make_policy() -> object:
    return Gone()
