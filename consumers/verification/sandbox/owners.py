"""Whose a container is, written on it as labels, so that those of a dead verifier can be told from all others."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LABEL = "kinitro.sandbox"
"""Its value is the version of what an image of this name holds; containers have it too."""
VERSION = "1"
HOST, BOOT, PIDS, PID, STARTED = (f"{LABEL}.{name}" for name in ("host", "boot", "pids", "pid", "started"))


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told from every other that ever was: `started` in clock ticks after the boot."""

    host: str
    boot: str
    pids: str
    """Its pid namespace."""
    pid: int
    started: int


def ourselves() -> Owner:
    """Us, as others see us."""
    pid = os.getpid()
    started = _started(pid)
    assert started is not None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Owner(platform.node(), boot, os.readlink("/proc/self/ns/pid"), pid, started)


def labels_of(owner: Owner) -> dict[str, str]:
    """What a container of `owner` is labelled with."""
    return {
        LABEL: VERSION,
        HOST: owner.host,
        BOOT: owner.boot,
        PIDS: owner.pids,
        PID: str(owner.pid),
        STARTED: str(owner.started),
    }


def is_orphan(labels: Mapping[str, str], us: Owner) -> bool:
    """Whether the owner is dead for certain: of a machine or a pid namespace that is not ours, nobody can tell."""
    if labels.get(HOST) != us.host:
        return False
    if labels.get(BOOT) != us.boot:
        return True
    if labels.get(PIDS) != us.pids:
        return False
    return str(_started(int(labels.get(PID, "0")))) != labels.get(STARTED)


def _started(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None
