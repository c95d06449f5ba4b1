"""Projecting much of the log at once, by several processes, into tables that nobody reads yet.

    stretches of the log -> processes that read, fold and append rows -> what is left, merged -> checkpoint

Only tables beside the live ones are built like this: until then they hold some of the rows, and what is left behind
is dropped by whoever builds next. Their checkpoint is moved once, in the transaction that makes them whole. No
error is dealt with here: a projection of which anything went wrong is handed back as not built, for the careful way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.jetstream import JetStreamLog
from events.log import EventLog
from projectors import checkpoint, schemas
from projectors.changes import Changes, WrongValue
from projectors.checkpoint import Checkpoint, LogGap
from projectors.crew import crew
from projectors.database import DRIVER_ERRORS
from projectors.folding import Folded, Orders, Place, Stretch
from projectors.projector import Projector
from projectors.topics import PROJECTIONS

EVENTS_MIN = 50_000
"""Fewer are projected before the processes have started."""
STRETCH_EVENTS = 10_000
FLUSH_STRETCHES = 20
"""After so many, what is not appended is written, so that it stays small."""
PROCESSES_MAX = 4
KEYS_TIMEOUT_S = 3600.0

logger = structlog.get_logger(__name__)


class FoldingEnded(Exception):
    """A process that folds is gone."""


@dataclass(frozen=True, slots=True)
class Folders:
    """How many processes may fold, and the database that they write to. None may: everything is done by this one."""

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
    """Builds from nothing what several empty projectors are to hold. `position`: up to here all are projected."""

    log: EventLog
    engine: AsyncEngine
    folders: Folders
    position: int = 0
    _changes: dict[Projector, Changes] = field(default_factory=dict)
    _lost: set[Projector] = field(default_factory=set)

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
        ends = {last: await self._checkpoint(self.log, last) for last in set(wanted.values())}
        identity = await self.log.identity()
        self._changes = {it: Changes() for it in wanted}
        places = {it.projection.name: await self._prepare(it) for it in wanted}
        orders = Orders(self.log.url, identity, self.folders.database_url, places)
        try:
            if not await self._fold(wanted, orders, interrupt):
                return
        except FoldingEnded as error:
            logger.warning("projecting goes on in one process", reason=str(error))
            return
        for projector, last in wanted.items():
            new = Checkpoint(projector.projection.version, last, identity, ends[last])
            await checkpoint.verify(self.log, projector.projection.name, new)
            if projector not in self._lost:
                await self._finish(projector, new)

    async def _prepare(self, projector: Projector) -> Place:
        async with self._writing(projector) as connection:
            for table in projector.projection.heavy:
                await connection.execute(text(f"ALTER TABLE {_name(projector, table)} DROP CONSTRAINT {_key(table)}"))
            query = f'SELECT tableoid::bigint FROM "{projector.schema}".checkpoint'  # noqa: S608 - a name of ours
            oid = await connection.scalar(text(query))
            assert oid is not None
            return Place(projector.schema, oid)

    async def _fold(self, wanted: Mapping[Projector, int], orders: Orders, interrupt: asyncio.Event) -> bool:
        """Returns whether it came to the end."""
        under_way: asyncio.Queue[tuple[Stretch, asyncio.Future[Folded | None]] | None] = asyncio.Queue()
        async with crew(self.folders.processes, orders) as folders:
            merging = asyncio.create_task(self._merge(under_way, wanted))
            try:
                for stretch in _stretches(wanted):
                    under_way.put_nowait((stretch, await folders.submit(stretch)))
                    if interrupt.is_set():
                        return False
                    if merging.done() or self._lost == wanted.keys():
                        break
                under_way.put_nowait(None)
                await merging
            finally:
                merging.cancel()
                await asyncio.wait({merging})
        return True

    async def _merge(
        self,
        under_way: asyncio.Queue[tuple[Stretch, asyncio.Future[Folded | None]] | None],
        wanted: Mapping[Projector, int],
    ) -> None:
        """Puts together what was folded, in the order of the log."""
        by_name = {it.projection.name: it for it in wanted}
        while item := await under_way.get():
            stretch, answer = item
            folded = await answer
            if folded is None:
                raise FoldingEnded(f"a process that was folding up to sequence {stretch.last} has ended")
            for name, remainder in folded.items():
                projector = by_name[name]
                if remainder is None:
                    self._lost.add(projector)
                else:
                    self._changes[projector].add(projector.projection.metadata, remainder)
            self.position = stretch.last
            if stretch.number % FLUSH_STRETCHES == 0:
                await self._flush()

    async def _checkpoint(self, log: EventLog, last: int) -> str:
        stored = await log.at(last)
        if stored is None:
            raise LogGap(f"there is no event at sequence {last}, which the log has reached")
        return checkpoint.digest_of(stored.body)

    async def _flush(self) -> None:
        for projector in self._changes.keys() - self._lost:
            changes, self._changes[projector] = self._changes[projector], Changes()
            with self._losing(projector):
                async with self._writing(projector) as connection:
                    await changes.write(connection, projector.schema)

    async def _finish(self, projector: Projector, new: Checkpoint) -> None:
        with self._losing(projector):
            async with self._writing(projector) as connection:
                await checkpoint.advance(connection, projector.checkpoint, new)
                await self._changes[projector].write(connection, projector.schema)
                await _make_keys(connection, projector)
            projector.checkpoint = new

    @asynccontextmanager
    async def _writing(self, projector: Projector) -> AsyncIterator[AsyncConnection]:
        """A transaction that is on disk when it ends: a crash must not take back what others build upon."""
        async with schemas.scoped(self.engine, projector.projection, projector.schema).begin() as connection:
            await connection.execute(text("SET LOCAL synchronous_commit TO on"))
            yield connection

    @contextlib.contextmanager
    def _losing(self, projector: Projector) -> Iterator[None]:
        try:
            yield
        except (WrongValue, *DRIVER_ERRORS) as error:
            logger.debug("not built by several processes", projection=projector.projection.name, error=repr(error))
            self._lost.add(projector)


async def _make_keys(connection: AsyncConnection, projector: Projector) -> None:
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    await connection.execute(text(f"SET LOCAL statement_timeout TO {int(KEYS_TIMEOUT_S * 1000)}"))
    for table in projector.projection.heavy:
        columns = ", ".join(f'"{column.name}"' for column in table.primary_key)
        statement = f"ALTER TABLE {_name(projector, table)} ADD CONSTRAINT {_key(table)} PRIMARY KEY ({columns})"
        await driver.execute(statement, timeout=KEYS_TIMEOUT_S)


def _name(projector: Projector, table: Table) -> str:
    return f'"{projector.schema}"."{table.name}"'


def _key(table: Table) -> str:
    """As PostgreSQL names it where nobody does."""
    return f'"{table.name}_pkey"'


def _stretches(wanted: Mapping[Projector, int]) -> Iterator[Stretch]:
    """All events up to the last that anybody wants. One that is the last for somebody ends a stretch."""
    after, number, ends = 0, 0, sorted(set(wanted.values()))
    for end in ends:
        while after < end:
            last, number = min(after + STRETCH_EVENTS, end), number + 1
            yield Stretch(
                number, after, last, tuple(it.projection.name for it, it_wants in wanted.items() if it_wants >= last)
            )
            after = last
