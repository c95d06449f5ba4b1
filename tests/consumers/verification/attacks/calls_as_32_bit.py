"""Makes a system call in the numbering of another convention, which a filter of numbers would misunderstand."""

from __future__ import annotations

import ctypes
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]

X32_GETPID = 0x40000000 + 39


class Disguised(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        ctypes.CDLL(None).syscall(ctypes.c_long(X32_GETPID))
        return {}


def make_policy() -> object:
    return Disguised()
