"""Locks between processes, as files. Whoever dies lets go."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from consumers.verification.trouble import HubTrouble, Trouble
from events.patience import Patience


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


@asynccontextmanager
async def held(path: Path, *, shared: bool = False, limit_s: float) -> AsyncIterator[None]:
    """Waits for the lock and holds it while inside.

    Raises:
        HubTrouble: somebody else held it all the time.
    """
    patience = Patience(limit_s)
    while True:
        with tried(path, shared=shared) as got:
            if got:
                yield
                return
        if not await patience.pause():
            raise HubTrouble(Trouble.TOO_SLOW, f"somebody else has been fetching the same for {limit_s:.0f} s")


def _is_at(path: Path, lock: int) -> bool:
    """Whether this is still the file that others would lock: it may have been removed while we waited."""
    try:
        return os.fstat(lock).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
