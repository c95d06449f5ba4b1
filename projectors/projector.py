"""One projection, and the projector that writes what events change in its tables.

A projection is data: its name (which is also its PostgreSQL schema), the version of its tables and rules, the
subjects it concerns itself with, and one pure function per event type that says what the event changes.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import MetaData, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from events.codec import CodecError
from events.event import Event
from events.log import Stored
from projectors import checkpoint
from projectors.arrival import Arrival, opened
from projectors.changes import Changes, Row, WrongValue
from projectors.checkpoint import Checkpoint, Fenced, ProjectionFailed
from projectors.cut import CutBack
from projectors.database import DRIVER_ERRORS, refuses_the_data

Handler = Callable[[Arrival, Changes], None]
Packing = Callable[[Sequence[Row]], bytes | bytearray]

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, eq=False)
class Projection:
    """What is kept of the log in one PostgreSQL schema, and how it follows from the events."""

    name: str
    version: int
    """To be raised with every change of the tables or of what is written: the read model is then rebuilt."""
    metadata: MetaData
    """Its tables, all in the schema `name`."""
    subjects: re.Pattern[str]
    """Matches the subjects at which an event that cannot be read would matter here."""
    handlers: Mapping[type[Event], Handler]
    cut_back: CutBack
    """Gives the tables as they were at an earlier sequence."""
    cut_from: tuple[Projection, ...] = ()
    """Other projections whose rows `cut_back` reads."""
    heavy: Mapping[Table, Packing] = field(default_factory=dict)
    """Tables that get a row for nearly every event, and only by appending: a large build makes their keys last, and
    takes their rows as these functions give them (`projectors.copying`)."""

    def fold(self, stored: Stored, arrival: Arrival | CodecError, changes: Changes) -> None:
        """Adds what one event changes.

        Raises:
            Unprojectable: it cannot be read, or its handler cannot deal with it.
        """
        if isinstance(arrival, CodecError):
            if self.subjects.match(stored.subject):
                raise Unprojectable(_described(stored, arrival)) from arrival
        elif handler := self.handlers.get(arrival.kind):
            try:
                handler(arrival, changes)
            except Exception as error:
                raise Unprojectable(_described(stored, error)) from error


class Unprojectable(Exception):
    """An event has no place in the read model."""


class Projector:
    """Writes one projection into one schema, from its checkpoint on."""

    def __init__(self, projection: Projection, engine: AsyncEngine, *, schema: str, log_identity: str) -> None:
        self.projection = projection
        self.schema = schema
        self._engine = engine.execution_options(schema_translate_map={None: schema, projection.name: schema})
        self._log_identity = log_identity
        self.checkpoint = Checkpoint(projection.version)

    @property
    def stopped(self) -> bool:
        """Whether an event that cannot be projected stands in the way."""
        return self.checkpoint.error is not None

    async def load(self) -> None:
        """Goes to where the database says that this projection stands."""
        async with self._engine.connect() as connection:
            self.checkpoint = await checkpoint.read(connection)

    async def confirm(self) -> None:
        """Looks whether the database still agrees: tables may have been swapped, or another projector be ahead.

        Raises:
            Fenced: it does not.
        """
        async with self._engine.connect() as connection:
            found = await checkpoint.read(connection)
        if found.sequence != self.checkpoint.sequence or found.version != self.checkpoint.version:
            name, here = self.projection.name, self.checkpoint.sequence
            raise Fenced(f"projection {name} stands at sequence {found.sequence}, not at {here}")

    async def forgive(self) -> None:
        """Tries again what has stopped it: this program may be a newer one, or the log restored."""
        if self.stopped:
            async with self._engine.begin() as connection:
                await checkpoint.record_error(connection, None, at=self.checkpoint.sequence)
            self.checkpoint = replace(self.checkpoint, error=None)

    async def write(self, batch: Sequence[Stored], changes: Changes | None, verified: Awaitable[None]) -> None:
        """Writes what these consecutive events change. One that cannot be projected stops it before that.

        Args:
            batch: The events; those up to the checkpoint were seen before.
            changes: What the others change; None where that could not be said of one of them.
            verified: Returns once the log is known to be the one that was projected so far; nothing is committed
                before, but the time is used.

        Raises:
            LogReplaced: `verified` says so.
            Fenced: another projector was quicker.
            Anything in `DRIVER_ERRORS`: the database failed; what was not written yet is to be read again.
        """
        fresh = batch[max(0, self.checkpoint.sequence + 1 - batch[0].sequence) :]
        if not fresh or self.stopped:
            return
        assert fresh[0].sequence == self.checkpoint.sequence + 1
        try:
            if changes is not None:
                await self._commit(changes, fresh[-1], verified)
                return
        except Unprojectable:
            pass  # of which event that is true, is found out now
        await verified
        await self._write_carefully(fresh)

    async def _write_carefully(self, fresh: Sequence[Stored]) -> None:
        """Halves the events until the one that is at fault stands alone; all before it are written."""
        changes = Changes()
        try:
            for stored in fresh:
                self.projection.fold(stored, opened(stored), changes)
            await self._commit(changes, fresh[-1], None)
        except Unprojectable as error:
            if len(fresh) == 1:
                await self._stop(str(error))
                return
            middle = len(fresh) // 2
            await self._write_carefully(fresh[:middle])
            if not self.stopped:
                await self._write_carefully(fresh[middle:])

    async def _commit(self, changes: Changes, last: Stored, verified: Awaitable[None] | None) -> None:
        digest = checkpoint.digest_of(last.body)
        new = Checkpoint(self.checkpoint.version, last.sequence, self._log_identity, digest)
        try:
            async with self._engine.begin() as connection:
                await checkpoint.advance(connection, self.checkpoint, new)
                await changes.write(connection, self.schema)
                if verified is not None:
                    await verified
        except WrongValue as error:
            raise Unprojectable(_described(last, error)) from error
        except DRIVER_ERRORS as error:
            if refuses_the_data(error):
                raise Unprojectable(_described(last, error)) from error
            raise
        self.checkpoint = new

    async def _stop(self, reason: str) -> None:
        logger.error("projection stopped", projection=self.projection.name, reason=reason)
        async with self._engine.begin() as connection:
            await checkpoint.record_error(connection, reason, at=self.checkpoint.sequence)
        self.checkpoint = replace(self.checkpoint, error=reason)

    def failure(self) -> ProjectionFailed:
        """Why it stopped, for whoever waits for it."""
        return ProjectionFailed(f"projection {self.projection.name}: {self.checkpoint.error}")


def _described(stored: Stored, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own text repeats the whole statement
    reason = " ".join(str(cause).split())
    return f"event at sequence {stored.sequence} ({stored.subject}): {type(cause).__name__}: {reason}"
