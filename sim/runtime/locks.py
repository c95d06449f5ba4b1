"""Locks between processes, as files. Whoever dies lets go."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tried(path: Path, *, shared: bool = False) -> Iterator[bool]:
    """Holds the lock while inside, if it was free. Several may hold it `shared`, or one alone."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield _is_at(path, lock)
    finally:
        os.close(lock)


def _is_at(path: Path, lock: int) -> bool:
    """Whether this is still the file that others would lock: it may have been removed while we waited."""
    try:
        return os.fstat(lock).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
