"""Reads from address zero."""

from __future__ import annotations

import ctypes
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Crash(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        ctypes.string_at(0)
        return {}


def make_policy() -> object:
    return Crash()
