"""What an attack could leave behind on this machine, looked for from outside."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.consumers.verification.attacks.attempts import MARK


@dataclass(frozen=True)
class Traces:
    """Everything that must be the same before and after."""

    processes: frozenset[int]
    """Our descendants."""
    descriptors: frozenset[str]
    mounts: str
    marked: frozenset[str]
    repository: tuple[tuple[str, int, bytes], ...]


def traces(repository: Path) -> Traces:
    return Traces(
        processes=descendants(os.getpid()),
        descriptors=frozenset(os.listdir("/proc/self/fd")),
        mounts=Path("/proc/self/mountinfo").read_text(),
        marked=_marked(),
        repository=tuple(
            (path.name, path.lstat().st_mode, path.read_bytes() if not path.is_symlink() else b"")
            for path in sorted(repository.iterdir())
        ),
    )


def descendants(pid: int) -> frozenset[int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    found, waiting = set[int](), [pid]
    while waiting:
        parent = waiting.pop()
        children = [child for child, its in parents.items() if its == parent]
        found.update(children)
        waiting += children
    return frozenset(found)


def pid_namespaces(processes: frozenset[int]) -> frozenset[int]:
    """Those of the processes, other than our own."""
    found = set()
    for pid in processes:
        try:
            found.add(os.stat(f"/proc/{pid}/ns/pid").st_ino)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return frozenset(found - {os.stat("/proc/self/ns/pid").st_ino})


def inhabitants(namespaces: frozenset[int]) -> frozenset[int]:
    """All processes of this machine, whoever their parent, that live in one of the pid namespaces."""
    everybody = frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())
    return frozenset(pid for pid in everybody if pid_namespaces(frozenset({pid})) & namespaces)


def _marked() -> frozenset[str]:
    places = {tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/", os.getcwd()}
    return frozenset(
        f"{place}/{name}" for place in places if os.path.isdir(place) for name in os.listdir(place) if MARK in name
    )
