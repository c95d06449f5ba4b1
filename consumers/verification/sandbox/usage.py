"""What a tree of processes uses at this moment, by `/proc`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CHILDREN = Path("/proc/thread-self/children")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_s`: user and system, of those alive and of those that were waited for."""

    processes: int
    resident_bytes: int
    cpu_s: float


def usage_below(init: int) -> Usage:
    """Of the descendants of `init`; none if it is gone.

    Processes are looked at one after the other: one that ends or begins meanwhile may be missing.
    """
    processes, pages, ticks = 0, 0, 0
    for pid in _tree(init):
        fields = _stat(pid)
        if fields is None:
            continue
        reaped = int(fields[13]) + int(fields[14])
        if pid == init:
            ticks += reaped
            continue
        processes += 1
        pages += int(fields[21])
        ticks += int(fields[11]) + int(fields[12]) + reaped
    return Usage(processes, pages * PAGE_BYTES, ticks / TICKS_PER_S)


def _tree(init: int) -> Iterator[int]:
    waiting, seen = [init], {init}
    while waiting:
        pid = waiting.pop()
        yield pid
        fresh = set(_children(pid)) - seen
        seen |= fresh
        waiting += fresh


def _children(pid: int) -> Iterator[int]:
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return  # it ended


def _stat(pid: int) -> list[str] | None:
    """The fields from the state on; the name before them may contain anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
