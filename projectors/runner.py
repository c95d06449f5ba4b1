"""The process that keeps all projections up to the log, through whatever happens to the log or the database.

    load checkpoints -> follow the log with those at the front
                     -> beside it: rebuild those of another version, catch up those far behind
                     -> all together again

A session ends when the database or the log fails, or another projector was quicker; the next one begins where the
checkpoints stand. Only a log that is not the projected one ends the runner.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from events.log import EventLog, LogError
from projectors import checkpoint, schemas
from projectors.bulk import Folders
from projectors.checkpoint import Fenced, LogGap, LogReplaced, ProjectionFailed
from projectors.database import DRIVER_ERRORS
from projectors.feed import first_of
from projectors.passes import VERIFY_INTERVAL_S, Projected, catch_up, follow
from projectors.projector import Projection, Projector
from projectors.rebuild import rebuild, rebuild_in_bulk

BEHIND_EVENTS_MIN = 20_000
"""A projection this far behind the first catches up apart, so that the others need not wait for it."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.1, 10.0
STOP_GRACE_S = 3.0
"""How long a session may take to end between transactions; then it is cut off in the middle of one."""
STEADY_S = 30.0
"""A session that lasted this long was healthy: the next failure waits the shortest time again."""

logger = structlog.get_logger(__name__)


@dataclass
class Runner:
    """Runs projections against one log and one database. `run` returns when `stop` is set."""

    log: EventLog
    engine: AsyncEngine
    projections: Sequence[Projection]
    stop: asyncio.Event
    told: Sequence[Projected] = ()
    folders: Folders | None = None
    """Processes that may project a large log from its beginning; None: this one does it alone."""
    _given_up: dict[str, int] = field(default_factory=dict)
    """Where projections met an event they cannot project. A new process tries again: it may be a newer program."""

    async def run(self) -> None:
        """Projects until `stop` is set.

        Raises:
            LogReplaced: the log is not the one that was projected.
        """
        backoff_s = BACKOFF_MIN_S
        while not self.stop.is_set():
            started = asyncio.get_running_loop().time()
            try:
                await self._unless_stopped(self._session())
                continue
            except LogReplaced as error:
                await self._record_everywhere(error)
                raise
            except Fenced as error:
                logger.info("another projector was quicker", detail=str(error))
            except (LogError, LogGap, *DRIVER_ERRORS) as error:
                logger.warning("projection interrupted", error=type(error).__name__, detail=_brief(error))
            if asyncio.get_running_loop().time() - started > STEADY_S:
                backoff_s = BACKOFF_MIN_S
            await first_of(self.stop, timeout_s=backoff_s * random.uniform(0.5, 1.5))
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    async def _unless_stopped(self, session: Coroutine[None, None, None]) -> None:
        """Ends with the session, or soon after `stop`: a log that is away would keep it waiting for long."""
        task = asyncio.create_task(session)
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await asyncio.wait({task}, timeout=STOP_GRACE_S)
            if task.done():
                await task
        finally:
            stopping.cancel()
            task.cancel()
            await asyncio.wait({task})

    async def _session(self) -> None:
        log_identity = await self.log.identity()
        projectors = [await self._load(projection, log_identity) for projection in self.projections]
        going = [it for it in projectors if self._given_up.get(it.projection.name) != it.checkpoint.sequence]
        outdated = [it for it in going if it.checkpoint.version != it.projection.version]
        current = [it for it in going if it not in outdated]
        front = max((it.checkpoint.sequence for it in current), default=0)
        behind = [it for it in current if front - it.checkpoint.sequence >= BEHIND_EVENTS_MIN]
        fresh = [it for it in current if it.checkpoint.sequence == 0] if await self._is_much() else []
        behind = [it for it in behind if it not in fresh]
        interrupt = asyncio.Event()
        jobs = [self._build(outdated, fresh, interrupt)] if outdated or fresh else []
        jobs += [catch_up(self.log, [it], interrupt) for it in behind]
        try:
            await self._beside(
                jobs,
                follow(self.log, [it for it in current if it not in (*behind, *fresh)], interrupt, told=self.told),
                interrupt,
            )
        finally:
            self._given_up |= {it.projection.name: it.checkpoint.sequence for it in current if it.stopped}

    async def _load(self, projection: Projection, log_identity: str) -> Projector:
        await schemas.ensure(self.engine, projection)
        projector = Projector(projection, self.engine, schema=projection.name, log_identity=log_identity)
        await projector.load()
        await checkpoint.verify(self.log, projection.name, projector.checkpoint)
        if self._given_up.get(projection.name) != projector.checkpoint.sequence:
            await projector.forgive()
        return projector

    async def _beside(
        self, jobs: Iterable[Awaitable[None]], following: Awaitable[None], interrupt: asyncio.Event
    ) -> None:
        """Follows while the jobs run. When they are done, or `stop` is set, the session ends between transactions."""
        stopping = asyncio.create_task(self.stop.wait())
        stopping.add_done_callback(lambda _: interrupt.set())
        side = [asyncio.ensure_future(job) for job in jobs]
        all_jobs = asyncio.gather(*side, return_exceptions=True)
        if side:
            all_jobs.add_done_callback(lambda _: interrupt.set())
        try:
            await following
            # Here no projection is left to follow with: wait for the jobs, or look from time to time for a replay.
            await first_of(interrupt, timeout_s=None if side else VERIFY_INTERVAL_S)
        finally:
            interrupt.set()
            stopping.cancel()
            results = await all_jobs
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _is_much(self) -> bool:
        """Whether several processes are worth their start."""
        if self.folders is None or not self.folders.processes:
            return False
        return await self.log.last_sequence() >= self.folders.events_min

    async def _build(
        self, outdated: Sequence[Projector], fresh: Sequence[Projector], interrupt: asyncio.Event
    ) -> None:
        """All at once where several processes can do it; each by itself where not."""
        done = set[Projection]()
        if self.folders is not None and await self._is_much():
            both = [it.projection for it in (*outdated, *fresh)]
            done = await rebuild_in_bulk(self.log, self.engine, both, self.folders, interrupt)
        await asyncio.gather(
            *(self._rebuild(it, interrupt) for it in outdated if it.projection not in done),
            catch_up(self.log, [it for it in fresh if it.projection not in done], interrupt),
        )

    async def _rebuild(self, outdated: Projector, interrupt: asyncio.Event) -> None:
        projection = outdated.projection
        logger.info("rebuilding", projection=projection.name, version=projection.version)
        try:
            while not interrupt.is_set() and not await rebuild(self.log, self.engine, projection, interrupt):
                await first_of(interrupt, timeout_s=random.uniform(0.5, 1.5))
        except ProjectionFailed as error:
            self._given_up[projection.name] = outdated.checkpoint.sequence
            await self._record(projection, f"rebuild to version {projection.version}: {error}")

    async def _record(self, projection: Projection, reason: str) -> None:
        async with schemas.scoped(self.engine, projection, projection.name).begin() as connection:
            await checkpoint.record_error(connection, reason)

    async def _record_everywhere(self, error: LogReplaced) -> None:
        try:
            for projection in self.projections:
                await self._record(projection, str(error))
        except DRIVER_ERRORS as failure:
            logger.warning("the reason could not be stored", error=type(failure).__name__, detail=_brief(failure))


def _brief(error: BaseException) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:300]
