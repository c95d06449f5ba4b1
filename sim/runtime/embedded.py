"""Servers that live in a directory of ours: the first process that needs one runs it, others join in."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from sim.runtime.children import Child
from sim.runtime.supervisor import Supervisor

JOIN_S = 30.0
"""How long another process may take to bring its server up, or down."""
LOOK_S = 0.5

log = structlog.get_logger(__name__)


class EmbeddedServer(Protocol):
    """What a server is asked for: how to run it, where it is, whether it is up."""

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground."""
        ...

    @property
    def url(self) -> str:
        """Where it is; the same after every restart. `prepare` has been called, here or in another process."""
        ...

    @property
    def stop_signal(self) -> signal.Signals: ...

    def prepare(self) -> None:
        """Makes its files. Called before a start, by one process at a time."""
        ...

    async def wait_ready(self, timeout_s: float = ...) -> None:
        """Returns once it answers; raises a TimeoutError of its own when it does not."""
        ...


@asynccontextmanager
async def run_or_join(name: str, server: EmbeddedServer, home: Path) -> AsyncIterator[str]:
    """The URL of the server, which is up for as long as this is open, here or in any other process of this home.

    When the process that runs it ends, one of those that joined takes over: to its clients that is a restart.

    Raises:
        ChildRefused, ChildNotReady: it cannot be run here.
        TimeoutError: another process runs it, but it does not answer.
        What its `prepare` raises.
    """
    with _Lock(home / f"{name}.lock") as lock:
        async with Supervisor() as supervisor:
            child = _child(name, server, home)
            joined = await _start_or_join(lock, server, supervisor, child)
            successor = asyncio.create_task(_take_over(lock, server, supervisor, child)) if joined else None
            try:
                yield server.url
            finally:
                await _cancelled(successor)


def is_running(name: str, home: Path) -> bool:
    """Whether some process runs the server of this name now."""
    with _Lock(home / f"{name}.lock") as lock:
        return not lock.take()


def _child(name: str, server: EmbeddedServer, home: Path) -> Child:
    return Child(
        name,
        tuple(server.argv),
        ready=server.wait_ready,
        stop_signal=server.stop_signal,
        output=home / "logs" / f"{name}.log",
    )


async def _start_or_join(lock: _Lock, server: EmbeddedServer, supervisor: Supervisor, child: Child) -> bool:
    """Whether it was joined. Whoever runs it may be about to start it, or to stop it: both are waited for."""
    deadline = time.monotonic() + JOIN_S
    while not lock.take():
        try:
            await server.wait_ready(LOOK_S)
        except TimeoutError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LOOK_S / 10)
        else:
            return True
    await _start(server, supervisor, child)
    return False


async def _take_over(lock: _Lock, server: EmbeddedServer, supervisor: Supervisor, child: Child) -> None:
    while not lock.take():  # noqa: ASYNC110  # no event of this process tells that another one has ended
        await asyncio.sleep(LOOK_S)
    log.info("the process that ran it has ended: running it here", server=child.name)
    await _start(server, supervisor, child)


async def _start(server: EmbeddedServer, supervisor: Supervisor, child: Child) -> None:
    await asyncio.to_thread(server.prepare)
    await supervisor.start(child)


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    """Its failure, if it had one, was the server's own: clients have seen it as one that is away."""
    if task is None:
        return
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, Exception):
        log.error("could not take over", error=str(result))


class _Lock:
    """A lock among processes. The kernel gives it back however its holder ends."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def take(self) -> bool:
        """Whether this process holds it now."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
