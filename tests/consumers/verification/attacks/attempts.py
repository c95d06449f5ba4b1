"""Lies beside every attack: a policy that tries things, and says so if any of them works.

An attempt fails with an OSError, or with nothing to see in a file or directory: engines put empty ones over what
they cannot leave out. If all do, `act` raises PermissionError; otherwise it answers, with what worked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable, Mapping
from typing import Any

MARK = "kinitro-attack"
"""In the name of everything that an attack leaves, if it can."""


class Harmless:
    """What an attack is when it does not attack."""

    def reset(self, task_config: dict[str, Any]) -> None:
        self.task_config = task_config

    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        return {"continuous": {"ee_twist": [0.0] * 6, "gripper": [0.0]}}


class Attempts(Harmless):
    def __init__(self, attempts: Mapping[str, Callable[[], object]]) -> None:
        self.attempts = attempts

    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        worked = {}
        for name, attempt in self.attempts.items():
            try:
                result = attempt()
            except OSError:
                continue
            if result not in ("", b"", []):
                worked[name] = repr(result)
        if worked:
            return {"continuous": [worked]}
        raise PermissionError(f"all {len(self.attempts)} attempts were refused")


def filtered(x86_64: int, aarch64: int, *arguments: int) -> Callable[[], object]:
    """A system call that must not get as far as having its arguments looked at."""

    def attempt() -> str:
        number = {"x86_64": x86_64, "aarch64": aarch64}[platform.machine()]
        libc = ctypes.CDLL(None, use_errno=True)
        result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
        if result == -1 and ctypes.get_errno() in {errno.EPERM, errno.ENOSYS}:
            raise PermissionError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return f"result {result}, errno {ctypes.get_errno()}"

    return attempt
