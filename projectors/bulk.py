"""Projecting much of the log at once, by several processes, into tables that nobody reads yet.

    stretches of the log -> processes that read and fold -> rows, appended as they come -> keys -> commit
                                                         -> what else changes, merged in order ->

Each projection is written in one transaction, its checkpoint included: either all of it stands there afterwards, or
nothing does. The transaction begins by emptying the tables, so that PostgreSQL need not write what is appended to its
write-ahead log as well (where `wal_level` is `minimal`), and may store the rows as seen by everybody (`FREEZE`).

No error is dealt with here: a projection of which anything went wrong is handed back as not built, for the careful
way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from events.jetstream import JetStreamLog
from events.log import EventLog
from projectors import checkpoint
from projectors.building import Building
from projectors.checkpoint import Checkpoint, LogGap
from projectors.crew import Crew, crew
from projectors.database import open_engine
from projectors.messages import Folded, Orders, Rows, Stretch
from projectors.projector import Projector
from projectors.topics import PROJECTIONS

EVENTS_MIN = 50_000
"""Fewer are projected before the processes have started."""
STRETCH_EVENTS = 10_000
FLUSH_STRETCHES = 20
"""After so many, what is not appended is written, so that it stays small."""
PROCESSES_MAX = 4
COMMAND_TIMEOUT_S = 60.0
"""Of a command that writes rows; keys take longer."""

logger = structlog.get_logger(__name__)

UnderWay = asyncio.Queue[tuple[Stretch, asyncio.Future[Folded | None]] | None]


class FoldingEnded(Exception):
    """A process that folds is gone."""


@dataclass(frozen=True, slots=True)
class Folders:
    """How many processes may fold, and the database to write to. None may: everything is done by this one."""

    database_url: str
    processes: int
    events_min: int = EVENTS_MIN
    """A log with fewer is projected by one process."""


def folders_for(database_url: str) -> Folders:
    """As this machine can bear: one core is left to the servers of log and database."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Folders(database_url, min(cores - 1, PROCESSES_MAX))


@dataclass
class Bulk:
    """Builds from nothing what several empty projectors are to hold. `position`: up to here all are folded."""

    log: EventLog
    folders: Folders
    position: int = 0

    async def build(self, targets: Mapping[Projector, int], interrupt: asyncio.Event) -> None:
        """Projects up to the sequence that each is to reach. Those that stand at 0 afterwards are not built.

        Raises:
            LogError: the log failed.
            LogReplaced: it became another one meanwhile.
            Anything in `DRIVER_ERRORS`: the database failed.
        """
        wanted = {
            it: last
            for it, last in targets.items()
            if last >= self.folders.events_min and it.projection in PROJECTIONS
        }
        if not wanted or not self.folders.processes or not isinstance(self.log, JetStreamLog):
            return
        orders = Orders(self.log.url, await self.log.identity())
        async with crew(self.folders.processes, orders) as folders, self._begun(wanted) as buildings:
            try:
                if not await self._fold(folders, buildings, interrupt):
                    return
            except FoldingEnded as error:
                logger.warning("projecting goes on in one process", reason=str(error))
                return
            await asyncio.gather(*(it.complete() for it in buildings))
            for building in buildings:
                await checkpoint.verify(self.log, building.name, building.end)
                await building.commit()

    @asynccontextmanager
    async def _begun(self, wanted: Mapping[Projector, int]) -> AsyncIterator[list[Building]]:
        """Over connections that nobody else waits for."""
        identity = await self.log.identity()
        digests = {last: await _digest(self.log, last) for last in set(wanted.values())}
        url, timeout_s = self.folders.database_url, COMMAND_TIMEOUT_S
        engine = open_engine(url, role="builder", command_timeout_s=timeout_s, connections_max=len(wanted))
        try:
            async with AsyncExitStack() as stack:
                buildings = []
                for projector, last in wanted.items():
                    end = Checkpoint(projector.projection.version, last, identity, digests[last])
                    buildings.append(await stack.enter_async_context(Building.begun(engine, projector, end)))
                yield buildings
        finally:
            await engine.dispose()

    async def _fold(self, folders: Crew, buildings: list[Building], interrupt: asyncio.Event) -> bool:
        """Returns whether it came to the end."""
        under_way = UnderWay()

        async def hand_out() -> bool:
            for stretch in _stretches(buildings):
                under_way.put_nowait((stretch, await folders.submit(stretch)))
                if interrupt.is_set() or all(it.lost for it in buildings):
                    return False
            under_way.put_nowait(None)
            return True

        async def merge() -> bool:
            await self._merge(under_way, buildings)
            await folders.rows.join()
            return True

        return await _together(hand_out(), merge(), endless=_append(folders.rows, buildings))

    async def _merge(self, under_way: UnderWay, buildings: list[Building]) -> None:
        """Puts together what was folded, in the order of the log."""
        by_name = {it.name: it for it in buildings}
        while item := await under_way.get():
            stretch, answer = item
            folded = await answer
            if folded is None:
                raise FoldingEnded(f"a process that was folding up to sequence {stretch.last} has ended")
            for name, remainder in folded.items():
                by_name[name].take(remainder)
            self.position = stretch.last
            if stretch.number % FLUSH_STRETCHES == 0:
                for building in buildings:
                    await building.flush()


async def _append(rows: asyncio.Queue[Rows], buildings: list[Building]) -> None:
    by_name = {it.name: it for it in buildings}
    while True:
        arrived = await rows.get()
        await by_name[arrived.projection].append(arrived)
        rows.task_done()


async def _together(*parts: Coroutine[None, None, bool], endless: Coroutine[None, None, None]) -> bool:
    """Whether all parts return True. The first that does not, or fails, ends the others."""
    beside = asyncio.create_task(endless)
    tasks = {asyncio.create_task(part) for part in parts}
    everything = {beside, *tasks}
    try:
        while tasks:
            done, _ = await asyncio.wait({beside, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            tasks -= done
            for task in done:
                if not task.result():
                    return False
        return True
    finally:
        for task in everything:
            task.cancel()
        await asyncio.wait(everything)


async def _digest(log: EventLog, last: int) -> str:
    stored = await log.at(last)
    if stored is None:
        raise LogGap(f"there is no event at sequence {last}, which the log has reached")
    return checkpoint.digest_of(stored.body)


def _stretches(buildings: list[Building]) -> Iterator[Stretch]:
    """All events up to the last that anybody wants. One that is the last for somebody ends a stretch."""
    after, number, ends = 0, 0, sorted({it.end.sequence for it in buildings})
    for end in ends:
        while after < end:
            last, number = min(after + STRETCH_EVENTS, end), number + 1
            yield Stretch(number, after, last, tuple(it.name for it in buildings if it.end.sequence >= last))
            after = last
