"""What an attack could leave behind on this machine, looked for from outside."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.consumers.verification.attacks.attempts import MARK


@dataclass(frozen=True)
class Traces:
    """Everything that must be the same before and after."""

    processes: frozenset[int]
    """Our descendants, but for an engine's own."""
    descriptors: frozenset[str]
    mounts: str
    marked: frozenset[str]
    repository: tuple[tuple[str, int, bytes], ...]


def traces(repository: Path, engine: int | None = None) -> Traces:
    """`engine`: a process that runs containers for us, and mounts what it needs where only it sees it."""
    return Traces(
        processes=descendants(os.getpid()) - (descendants(engine) if engine else frozenset()),
        descriptors=frozenset(os.listdir("/proc/self/fd")),
        mounts="".join(Path(f"/proc/{pid}/mountinfo").read_text() for pid in {os.getpid(), engine or os.getpid()}),
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


@contextmanager
def held_namespaces(processes: frozenset[int]) -> Iterator[frozenset[int]]:
    """The pid namespaces of processes, but ours. The kernel would give the number of one that is gone to the next."""
    descriptors: dict[int, int] = {}
    try:
        for pid in processes:
            try:
                descriptor = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            descriptors[descriptor] = os.fstat(descriptor).st_ino
        yield frozenset(descriptors.values()) - {os.stat("/proc/self/ns/pid").st_ino}
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def inhabitants(namespaces: frozenset[int]) -> frozenset[int]:
    """All processes of this machine, whoever their parent, that live in one of the pid namespaces."""
    return frozenset(
        int(name) for name in os.listdir("/proc") if name.isdigit() and _pid_namespace(int(name)) in namespaces
    )


def _pid_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def _marked() -> frozenset[str]:
    places = {tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm", "/", os.getcwd()}
    return frozenset(
        f"{place}/{name}" for place in places if os.path.isdir(place) for name in os.listdir(place) if MARK in name
    )
