"""Building a projection of another version anew beside its live tables, and putting it in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from events.log import EventLog
from projectors import schemas
from projectors.beginning import from_nothing
from projectors.bulk import Bulk, Folders
from projectors.checkpoint import ProjectionFailed
from projectors.passes import catch_up
from projectors.projector import Projection, Projector

logger = structlog.get_logger(__name__)


async def rebuild(log: EventLog, engine: AsyncEngine, projection: Projection, interrupt: asyncio.Event) -> bool:
    """Projects the whole log into new tables and swaps them in; readers see the old ones until then, never a gap.

    Returns whether the live tables have this program's version now: not if it was interrupted, or if another process
    is at it.

    Raises:
        ProjectionFailed: an event cannot be projected; the live tables stay.
    """
    async with schemas.building(engine, projection) as ours:
        if not ours:
            return False
        if await _is_current(engine, projection):
            return True
        return await _put_in_place(log, engine, await from_nothing(log, engine, projection), interrupt)


async def rebuild_in_bulk(
    log: EventLog, engine: AsyncEngine, projections: Sequence[Projection], folders: Folders, interrupt: asyncio.Event
) -> set[Projection]:
    """Does for several at once what `rebuild` does for one, by several processes; also where live tables are empty.

    Returns those whose live tables are whole now. The others are as they were: too little to do, an event that
    cannot be projected, a process that ended, another one that is at it.
    """
    async with AsyncExitStack() as stack:
        ours = [it for it in projections if await stack.enter_async_context(schemas.building(engine, it))]
        wanted = [it for it in ours if not await _is_current(engine, it, beyond=0)]
        projectors = [await from_nothing(log, engine, it) for it in wanted]
        await Bulk(log, folders).build(dict.fromkeys(projectors, await log.last_sequence()), interrupt)
        done = set(ours).difference(wanted)
        for projector in projectors:
            with suppress(ProjectionFailed):
                if projector.checkpoint.sequence and await _put_in_place(log, engine, projector, interrupt):
                    done.add(projector.projection)
                    continue
            async with engine.begin() as connection:
                await schemas.drop(connection, projector.schema)
        return done


async def _put_in_place(log: EventLog, engine: AsyncEngine, projector: Projector, interrupt: asyncio.Event) -> bool:
    """Projects the rest and swaps; returns whether it came to that."""
    while not interrupt.is_set():
        await catch_up(log, [projector], interrupt)
        if projector.stopped:
            raise projector.failure()
        end = await log.last_sequence()
        if await schemas.swap(engine, projector.projection, projector.checkpoint, log_last_sequence=end):
            name, sequence = projector.projection.name, projector.checkpoint.sequence
            logger.info("projection rebuilt", projection=name, sequence=sequence)
            return True
    return False


async def _is_current(engine: AsyncEngine, projection: Projection, *, beyond: int = -1) -> bool:
    """Whether the live tables have this program's version, and have seen more than `beyond`."""
    async with engine.connect() as connection:
        live = await schemas.live_checkpoint(connection, projection)
    return live is not None and live.version == projection.version and live.sequence > beyond
