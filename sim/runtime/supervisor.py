"""Children under one supervisor: restarted when they die, stopped in order, never left behind.

A child is a process, unless it says how else it is launched (`containers`).

The life of a child:

    start ──> running ──> ended(0) and restart is ON_FAILURE ──> done
                │  ▲
                │  └── back-off <── ended(any other way)
                └── stop: signal, grace, SIGKILL

An exit status of 2 soon after the first start means that the child cannot run like this (a wrong option, a port in
use), 126 or 127 that there is no such program: it is not tried again, and `Supervisor.failed` gives the reason. Later
it may mean that a server is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from events.for_people import ForPeople
from sim.runtime.children import NOT_EXECUTABLE, REFUSED, Child, Launched, LaunchFailed, Restart
from sim.runtime.processes import launch_process

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 30.0
BACKOFF_DOUBLINGS = 8
"""Of the first until the longest: without a bound, a number that no float holds after a night of deaths."""
STABLE_AFTER_S = 20.0
"""A child that ran this long starts again without the back-off of its earlier deaths."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class ChildRefused(ForPeople):
    """A child ended with status 2; its own output says why."""


class ChildNotReady(ForPeople):
    """A child did not become usable in time."""


def backoff_s(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row (1, 2, ...), before jitter: doubling, bounded."""
    return min(BACKOFF_FIRST_S * 2.0 ** min(deaths - 1, BACKOFF_DOUBLINGS), BACKOFF_MAX_S)


class Supervisor:
    """Runs children until it is closed: `async with Supervisor() as supervisor: await supervisor.start(child)`."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self.failed: asyncio.Future[ChildRefused] = asyncio.get_running_loop().create_future()
        """Done when a child cannot be run at all, or what keeps one running has failed itself."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, child: Child) -> None:
        """Starts a child and waits until it is ready.

        Raises:
            ChildRefused: it, or another child, cannot be run at all.
            ChildNotReady: its readiness check timed out.
        """
        if child.name in self._running:
            raise ValueError(f"a child named {child.name!r} is running already; give this one another name")
        running = self._running[child.name] = _Running(child, self.failed)
        await running.first_started.wait()
        if self.failed.done():
            raise self.failed.result()
        if child.ready is None:
            return
        try:
            await self.before_refusal(child.ready())
        except TimeoutError as error:
            raise ChildNotReady(f"{child.name} was not ready in time: {error}{_where(child)}") from error

    def pid(self, name: str) -> int | None:
        """The process id of a running child; None while it is being restarted or is done."""
        return self._running[name].pid

    async def done(self, name: str) -> None:
        """Waits until a child with `Restart.ON_FAILURE` has ended with status 0.

        Raises:
            ChildRefused: some child cannot be run at all.
        """
        await self.before_refusal(self._running[name].finished.wait())

    async def stop(self, name: str) -> None:
        """Stops one child: its signal, its grace, then SIGKILL."""
        await self._running.pop(name).stop()

    async def close(self) -> None:
        """Stops all children, the youngest first: who came later may depend on who came earlier."""
        for name in reversed(list(self._running)):
            await self.stop(name)

    async def close_together(self) -> None:
        """Stops all children at once: they are of one kind and do not depend on each other."""
        await asyncio.gather(*(self.stop(name) for name in list(self._running)))

    async def until(self, stop: asyncio.Event) -> None:
        """Waits for `stop`.

        Raises:
            ChildRefused: some child cannot be run at all.
        """
        await self.before_refusal(stop.wait())

    async def before_refusal(self, work: Awaitable[T]) -> T:
        """The result of the work, which may depend on children.

        Raises:
            ChildRefused: some child cannot be run at all; the work is cancelled.
        """
        task = asyncio.ensure_future(work)
        first: set[asyncio.Future[Any]] = {task, self.failed}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if self.failed.done() and not task.done():
                raise self.failed.result()
            return await task
        finally:
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


class _Running:
    """One child and the task that keeps it running."""

    def __init__(self, child: Child, failed: asyncio.Future[ChildRefused]) -> None:
        self.child = child
        self.first_started = asyncio.Event()
        self.finished = asyncio.Event()
        self._failed = failed
        self._launched: Launched | None = None
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {child.name}")
        self._keeper.add_done_callback(self._on_kept)

    @property
    def pid(self) -> int | None:
        return self._launched.pid if self._launched else None

    async def stop(self) -> None:
        self._keeper.cancel()
        await asyncio.wait({self._keeper})
        if self._launched and not await self._launched.stop(self.child.stop_signal, self.child.stop_grace_s):
            log.warning("child did not stop in time: killed", child=self.child.name, grace_s=self.child.stop_grace_s)

    def _on_kept(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (error := keeper.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    async def _keep(self) -> None:
        deaths, had_run = 0, False
        while True:
            started = time.monotonic()
            try:
                status = await self._run()
            except LaunchFailed as error:
                if not had_run:
                    self._refuse(f"cannot be started: {error}")
                    return
                status = str(error)
            if status == 0 and self.child.restart is Restart.ON_FAILURE:
                self.finished.set()
                return
            lasted_s = time.monotonic() - started
            if status in (REFUSED, *NOT_EXECUTABLE) and not had_run and lasted_s < STABLE_AFTER_S:
                self._refuse(f"cannot run like this (exit status {status}){self._said()}")
                return
            had_run = True
            deaths = 1 if lasted_s > STABLE_AFTER_S else deaths + 1
            pause_s = backoff_s(deaths) * random.uniform(0.5, 1.0)
            log.warning(
                "child ended: will be restarted", child=self.child.name, status=status, pause_s=round(pause_s, 2)
            )
            await asyncio.sleep(pause_s)

    async def _run(self) -> int | str:
        """One run, from start to end: its exit status."""
        try:
            self._launched = await (self.child.launch or launch_process)(self.child)
        finally:
            self.first_started.set()
        return await self._launched.wait()

    def _said(self) -> str:
        words = self._launched.last_words if self._launched else ""
        return f": {words}" if words else ""

    def _refuse(self, reason: str) -> None:
        if not self._failed.done():
            self._failed.set_result(ChildRefused(f"{self.child.name} {reason}{_where(self.child)}"))


def _where(child: Child) -> str:
    return f"; see {child.output}" if child.output else ""
