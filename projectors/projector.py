"""One projection, and the projector that folds events into its tables.

A projection is data: its name (which is also its PostgreSQL schema), the version of its tables and rules, the
subjects it concerns itself with, and one pure function per event type that says what the event changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from events.codec import CodecError, decode
from events.envelope import RecordedEvent
from events.event import Event
from events.log import Stored
from projectors import checkpoint
from projectors.changes import Changes
from projectors.checkpoint import Checkpoint, Fenced, ProjectionFailed
from projectors.database import DRIVER_ERRORS, refuses_the_data

Handler = Callable[[RecordedEvent[Any], Changes], None]

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Projection:
    """What is kept of the log in one PostgreSQL schema, and how it follows from the events."""

    name: str
    version: int
    """To be raised with every change of the tables or of what is written: the read model is then rebuilt."""
    metadata: MetaData
    """Its tables, all in the schema `name`."""
    subjects: re.Pattern[str]
    """Matches the subjects of the events it needs; of others it keeps only the position."""
    handlers: Mapping[type[Event], Handler]


class _Unprojectable(Exception):
    """An event has no place in the read model."""


class Projector:
    """Writes one projection into one schema, from its checkpoint on."""

    def __init__(self, projection: Projection, engine: AsyncEngine, *, schema: str, log_identity: str) -> None:
        self.projection = projection
        self.schema = schema
        self._engine = engine.execution_options(schema_translate_map={None: schema, projection.name: schema})
        self._log_identity = log_identity
        self.concerns = projection.subjects.match
        """Whether events at a subject leave more here than their position."""
        self._handlers = projection.handlers
        self._changes = Changes()
        self._failure: _Unprojectable | None = None
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
        """Looks whether the database still agrees: it may have been reset, or another projector be ahead.

        Raises:
            Fenced: it does not.
        """
        async with self._engine.connect() as connection:
            found = await checkpoint.read(connection)
        if found.sequence != self.checkpoint.sequence or found.version != self.checkpoint.version:
            raise Fenced(
                f"{self.projection.name} stands at sequence {found.sequence}, not {self.checkpoint.sequence}"
            )

    async def forgive(self) -> None:
        """Tries again what has stopped it: this program may be a newer one, or the log restored."""
        if self.stopped:
            async with self._engine.begin() as connection:
                await checkpoint.record_error(connection, None, at=self.checkpoint.sequence)
            self.checkpoint = replace(self.checkpoint, error=None)

    def fold(self, stored: Stored, recorded: RecordedEvent[Event] | CodecError) -> None:
        """Notes what this event changes. Where that fails, `flush` finds out how far to go."""
        if self._failure is None and stored.sequence > self.checkpoint.sequence:
            try:
                self._fold(stored, recorded, self._changes)
            except _Unprojectable as error:
                self._failure = error

    async def flush(self, batch: Sequence[Stored]) -> None:
        """Writes what was folded of these consecutive events. One that cannot be projected stops it before that.

        Raises:
            Fenced: another projector was quicker.
            Anything in `DRIVER_ERRORS`: the database failed; what was not written yet is to be read again.
        """
        changes, failure = self._changes, self._failure
        self._changes, self._failure = Changes(), None
        fresh = batch[max(0, self.checkpoint.sequence + 1 - batch[0].sequence) :]
        if not fresh:
            return
        assert fresh[0].sequence == self.checkpoint.sequence + 1
        try:
            if failure is not None:
                raise failure
            await self._commit(changes, fresh[-1])
        except _Unprojectable:
            await self._project_carefully(fresh)

    async def _project_carefully(self, fresh: Sequence[Stored]) -> None:
        """Halves the events until the one that is at fault stands alone; all before it are written."""
        try:
            await self._commit(self._folded(fresh), fresh[-1])
        except _Unprojectable as error:
            if len(fresh) == 1:
                await self._stop(str(error))
                return
            middle = len(fresh) // 2
            await self._project_carefully(fresh[:middle])
            if not self.stopped:
                await self._project_carefully(fresh[middle:])

    def _folded(self, fresh: Sequence[Stored]) -> Changes:
        changes = Changes()
        for stored in fresh:
            if self.concerns(stored.subject):
                self._fold(stored, decoded(stored), changes)
        return changes

    def _fold(self, stored: Stored, recorded: RecordedEvent[Event] | CodecError, changes: Changes) -> None:
        if isinstance(recorded, CodecError):
            raise _Unprojectable(_described(stored, recorded)) from recorded
        handler = self._handlers.get(type(recorded.event))
        if handler is None:
            return
        try:
            handler(recorded, changes)
        except Exception as error:
            raise _Unprojectable(_described(stored, error)) from error

    async def _commit(self, changes: Changes, last: Stored) -> None:
        digest = checkpoint.digest_of(last.body)
        new = Checkpoint(self.checkpoint.version, last.sequence, self._log_identity, digest)
        try:
            async with self._engine.begin() as connection:
                await checkpoint.advance(connection, self.checkpoint, new)
                await changes.write(connection, self.schema)
        except DRIVER_ERRORS as error:
            if refuses_the_data(error):
                raise _Unprojectable(_described(last, error)) from error
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


def decoded(stored: Stored) -> RecordedEvent[Event] | CodecError:
    """The event, or why it is none."""
    try:
        return decode(stored)
    except CodecError as error:
        return error


def _described(stored: Stored, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own text repeats the whole statement
    reason = " ".join(str(cause).split())
    return f"event at sequence {stored.sequence} ({stored.subject}): {type(cause).__name__}: {reason}"
