"""Looks at other processes, and into the memory of the one that started it."""

from __future__ import annotations

import os
from pathlib import Path

from attempts import Attempts, filtered  # type: ignore[import-not-found]


def others() -> list[str]:
    """Besides init and itself."""
    found = [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in {1, os.getpid()}]
    if not found:
        raise ProcessLookupError("nobody there")
    return found


def memory(pid: int) -> bytes:
    start = int(Path(f"/proc/{pid}/maps").read_text().partition("-")[0], 16)
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(start)
        return file.read(16)


def make_policy() -> object:
    return Attempts(
        {
            "others": others,
            "memory of init": lambda: memory(1),
            "memory of the parent": lambda: memory(os.getppid()),
            "files of init": lambda: os.listdir("/proc/1/fd"),
            "ptrace": filtered(101, 117, 16, 1),
            "process_vm_readv": filtered(310, 270, 1),
            "process_vm_writev": filtered(311, 271, 1),
            "pidfd_getfd": filtered(438, 438, 0, 0, 0),
        }
    )
