"""How far a projection has come, kept beside its rows and moved in the same transaction.

The checkpoint is one row in the projection's own schema. It names the log it belongs to and the last event it has
seen, so that a log that went backwards, or is another one, is noticed before a row is written.

ProjectionError
├── Fenced               another projector has moved the checkpoint; reread it
├── LogReplaced          the log is not the one that was projected
├── ProjectionFailed     an event that it cannot project stopped it
├── CannotReplay         the read model cannot be built from there, or not now
├── ProjectionBehind     it did not reach a sequence in time
└── LogGap               the log delivered events that do not follow each other
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, func, insert, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.for_people import ForPeople
from events.log import EventLog
from projectors.database import NO_SUCH_TABLE, sqlstate

POLL_INTERVAL_S = 0.02
ERROR_LENGTH_MAX = 2_000
RETIRED = -1
"""The sequence of a checkpoint whose tables were swapped out: whoever still writes to them is fenced."""

CHECKPOINT = Table(
    "checkpoint",
    MetaData(),
    Column("version", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("log_identity", Text),
    Column("digest", Text, comment="SHA-256 of the body of the event at `sequence`"),
    Column("error", Text, comment="why the projection stopped"),
)
"""It stands in every projection's schema: used with a schema translation from None."""


class ProjectionError(ForPeople):
    """A projection cannot go on as it is."""


class Fenced(ProjectionError):
    """Another projector has moved the checkpoint, or a rebuild has swapped the tables."""


class LogReplaced(ProjectionError):
    """The log is not the one that was projected, or has lost its end. Nothing is written from it."""


class ProjectionFailed(ProjectionError):
    """The projection met an event that it cannot project, and stopped before it."""


class CannotReplay(ProjectionError):
    """The read model cannot be built from there, or not now; the message says what can be done."""


class ProjectionBehind(ProjectionError):
    """The projection did not reach the sequence in time; is a projector running?"""


class LogGap(ProjectionError):
    """The log delivered events that do not follow each other; the position is read again."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A projection at `sequence` of the log `log_identity`, whose event there has `digest`."""

    version: int
    sequence: int = 0
    log_identity: str | None = None
    digest: str | None = None
    error: str | None = None


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def read(connection: AsyncConnection, *, lock: bool = False) -> Checkpoint:
    """The checkpoint in the schema that `connection` translates None to."""
    query = select(CHECKPOINT)
    row = (await connection.execute(query.with_for_update() if lock else query)).one()
    return Checkpoint(row.version, row.sequence, row.log_identity, row.digest, row.error)


async def create(connection: AsyncConnection, version: int) -> None:
    await connection.execute(insert(CHECKPOINT).values(version=version, sequence=0))


async def advance(connection: AsyncConnection, previous: Checkpoint, new: Checkpoint) -> None:
    """Moves the checkpoint, if it stands where we left it. The first statement of a transaction: it locks the row.

    Raises:
        Fenced: it does not; the transaction must not go on.
    """
    moved = await connection.execute(
        update(CHECKPOINT)
        .where(CHECKPOINT.c.sequence == previous.sequence, CHECKPOINT.c.version == previous.version)
        .values(sequence=new.sequence, log_identity=new.log_identity, digest=new.digest, error=None)
    )
    if moved.rowcount != 1:
        raise Fenced(f"the checkpoint is no longer at sequence {previous.sequence}, version {previous.version}")


async def retire(connection: AsyncConnection) -> None:
    """Fences whoever is about to write beside this checkpoint."""
    await connection.execute(update(CHECKPOINT).values(sequence=RETIRED))


async def record_error(connection: AsyncConnection, error: str | None, *, at: int | None = None) -> None:
    """Stores why the projection stopped, and when; None for nothing. With `at`, only if it still stands there."""
    if error is not None:
        error = error[:ERROR_LENGTH_MAX].replace("\x00", "\ufffd")
        error += f" (since {datetime.now(UTC).isoformat(timespec='seconds')})"
    statement = update(CHECKPOINT).values(error=error)
    await connection.execute(statement if at is None else statement.where(CHECKPOINT.c.sequence == at))


async def verify(log: EventLog, name: str, checkpoint: Checkpoint) -> None:
    """Compares the log with what the projection remembers of it.

    Raises:
        LogReplaced: it is another log, or its event at this sequence is another one, or missing.
    """
    if checkpoint.sequence == 0:
        return
    remedy = "if that is intended, make the read models anew from this log: kinitro replay --force"
    identity = await log.identity()
    if checkpoint.log_identity != identity:
        raise LogReplaced(
            f"projection {name} was made from log {checkpoint.log_identity}, but this is log {identity}: {remedy}"
        )
    stored = await log.at(checkpoint.sequence)
    if stored is None:
        raise LogReplaced(
            f"projection {name} stands at sequence {checkpoint.sequence}, but the log ends at"
            f" {await log.last_sequence()}: events were lost; restore the log, or {remedy}"
        )
    if digest_of(stored.body) != checkpoint.digest:
        raise LogReplaced(
            f"projection {name} has seen another event at sequence {checkpoint.sequence} than the log holds now"
            f" (SHA-256 {checkpoint.digest} then, {digest_of(stored.body)} now): {remedy}"
        )


async def seen_by_all(connection: AsyncConnection, names: Iterable[str]) -> int:
    """The newest sequence that all of these projections have seen; 0 is before the first event."""
    places = [CHECKPOINT.to_metadata(MetaData(), schema=name) for name in names]
    sequences = [select(place.c.sequence).scalar_subquery() for place in places]
    return int(await connection.scalar(select(func.least(*sequences))) or 0)


async def wait_for(engine: AsyncEngine, name: str, sequence: int, *, timeout_s: float) -> Checkpoint:
    """Returns once the projection has seen the event at `sequence`, so that a reader meets its own write.

    Raises:
        ProjectionFailed: it stopped before that; the message is its own error.
        ProjectionBehind: not within `timeout_s`.
    """
    scoped = engine.execution_options(schema_translate_map={None: name})
    deadline = time.monotonic() + timeout_s
    while True:
        checkpoint = await _found(scoped)
        if checkpoint.sequence >= sequence:
            return checkpoint
        if checkpoint.error is not None:
            raise ProjectionFailed(f"projection {name} stopped before sequence {sequence}: {checkpoint.error}")
        if time.monotonic() >= deadline:
            raise ProjectionBehind(
                f"projection {name} is at sequence {checkpoint.sequence}, not at {sequence}, after {timeout_s:g} s:"
                " is a projector running?"
            )
        await asyncio.sleep(POLL_INTERVAL_S)


async def _found(scoped: AsyncEngine) -> Checkpoint:
    try:
        async with scoped.connect() as connection:
            return await read(connection)
    except DBAPIError as error:
        if sqlstate(error) in NO_SUCH_TABLE:
            return Checkpoint(version=0)  # no projector has begun yet
        raise
