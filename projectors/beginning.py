"""Where building a read model beside the live one begins: at nothing, or at what the live one knew at a sequence."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.log import EventLog
from projectors import checkpoint, schemas
from projectors.checkpoint import CannotReplay, Checkpoint, Fenced
from projectors.cut import Cut
from projectors.projector import Projection, Projector


async def from_nothing(log: EventLog, engine: AsyncEngine, projection: Projection) -> Projector:
    """Empty tables beside the live ones. What was begun before is dropped."""
    schema, identity = schemas.next_of(projection), await log.identity()
    async with schemas.scoped(engine, projection, schema).begin() as connection:
        await _create(connection, projection, schema)
    return Projector(projection, engine, schema=schema, log_identity=identity)


async def anew(engine: AsyncEngine, projector: Projector) -> None:
    """Empties the tables again into which a projector at 0 was to write."""
    async with schemas.scoped(engine, projector.projection, projector.schema).begin() as connection:
        await _create(connection, projector.projection, projector.schema)


async def from_the_past(log: EventLog, engine: AsyncEngine, projection: Projection, sequence: int) -> Projector:
    """Tables beside the live ones with what those knew at `sequence`, at least 1. What was begun before is dropped.

    Raises:
        CannotReplay: the live tables cannot tell; the message says what can be done.
        LogReplaced: they were made from another log.
        Fenced: live tables were swapped in the meantime; try again.
    """
    schema = schemas.next_of(projection)
    start = await _checkpoint(log, projection, sequence)
    sources = (projection, *projection.cut_from)
    async with schemas.scoped(engine, projection, schema).begin() as connection:
        await _create(connection, projection, schema)
        before = await schemas.generations(connection, sources)
        for source in sources:
            await _check(log, connection, source, sequence)
        await connection.execution_options(schema_translate_map={None: schema})
        await projection.cut_back(Cut(connection, schema, sequence))
        await checkpoint.advance(connection, Checkpoint(projection.version), start)
        if await schemas.generations(connection, sources) != before:
            raise Fenced(f"live tables of {projection.name} were swapped while they were copied")
    projector = Projector(projection, engine, schema=schema, log_identity=start.log_identity or "")
    projector.checkpoint = start
    return projector


async def _create(connection: AsyncConnection, projection: Projection, schema: str) -> None:
    await schemas.hold(connection, schema)
    await schemas.drop(connection, schema)
    await schemas.create(connection, projection, schema)


async def _checkpoint(log: EventLog, projection: Projection, sequence: int) -> Checkpoint:
    stored = await log.at(sequence)
    if stored is None:
        end = await log.last_sequence()
        raise CannotReplay(f"the log ends at sequence {end}, before {sequence}: choose a place up to {end}")
    digest = checkpoint.digest_of(stored.body)
    return Checkpoint(projection.version, sequence, await log.identity(), digest)


async def _check(log: EventLog, connection: AsyncConnection, source: Projection, sequence: int) -> None:
    live = await schemas.live_checkpoint(connection, source)
    name = source.name
    if live is None:
        raise CannotReplay(f"{name} has no tables to copy from: replay it from the beginning, without --from")
    if live.version != source.version:
        raise CannotReplay(
            f"the tables of {name} are of version {live.version}, this program's of {source.version}:"
            f" replay {name} from the beginning, without --from"
        )
    if live.sequence < sequence:
        raise CannotReplay(
            f"{name} has seen the log up to sequence {live.sequence}, not up to {sequence}: choose a place up to"
            f" {live.sequence}, or let a projector catch up (kinitro db status shows why it has not)"
        )
    await checkpoint.verify(log, name, live)
