"""Servers that live in a directory of ours: the first process that needs one runs it, others join in."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from sim.runtime.processes import Child, Supervisor


class EmbeddedServer(Protocol):
    """What a server is asked for: how to run it, where it is, whether it is up."""

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground."""
        ...

    @property
    def url(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def prepare(self) -> None:
        """Makes its files. Called before a start, by one process at a time."""
        ...

    async def wait_ready(self, timeout_s: float = ...) -> None:
        """Returns once it answers; raises an error of its own when it does not."""
        ...


@asynccontextmanager
async def run_or_join(name: str, server: EmbeddedServer, home: Path) -> AsyncIterator[str]:
    """The URL of the server, which is up; it goes on as long as the process that runs it keeps this open."""
    with _lock(home / f"{name}.lock") as mine:
        if not mine:
            await server.wait_ready()
            yield server.url
            return
        await asyncio.to_thread(server.prepare)
        async with Supervisor() as supervisor:
            await supervisor.start(
                Child(
                    name,
                    tuple(server.argv),
                    ready=server.wait_ready,
                    stop_signal=server.stop_signal,
                    output=home / "logs" / f"{name}.log",
                )
            )
            yield server.url


def is_running(name: str, home: Path) -> bool:
    """Whether some process runs the server of this name now."""
    with _lock(home / f"{name}.lock") as free:
        return not free


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether this process got the lock. The kernel gives it back however the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
