"""Processes as the kernel sees them, found in /proc: who belongs to a home, and when they are gone."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `started` tells it apart from a later one with the same pid."""

    pid: int
    started: int
    command: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        return _read(self.pid) == self

    def kill(self) -> None:
        """As a crash would: SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)


def of_home(home: Path) -> list[Process]:
    """All living processes that were started for this home, whoever their parent is now."""
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal() and _belongs(entry, home)]
    return [process for pid in pids if (process := _read(pid)) is not None]


def child(home: Path, words: str) -> Process:
    """The first process of this home whose command line contains these words."""
    found = sorted((it for it in of_home(home) if words in it.command), key=lambda it: it.pid)
    assert found, f"no process of {home} has {words!r} in its command line: {of_home(home)}"
    return found[0]


def _belongs(entry: Path, home: Path) -> bool:
    """By variable, by command line, or by working directory: PostgreSQL writes over the first two."""
    try:
        if f"KINITRO_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
            return True
        return str(home).encode() in (entry / "cmdline").read_bytes() or (entry / "cwd").readlink().is_relative_to(
            home
        )
    except OSError:
        return False  # it has just ended, or is not ours to look at


def _read(pid: int) -> Process | None:
    try:
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        state, *fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else Process(pid, int(fields[18]), command)
