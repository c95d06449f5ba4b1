"""Building a projection of another version anew beside its live tables, and putting it in their place."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from events.log import EventLog
from projectors import schemas
from projectors.beginning import from_nothing
from projectors.passes import catch_up
from projectors.projector import Projection

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
        projector = await from_nothing(log, engine, projection)
        while not interrupt.is_set():
            await catch_up(log, [projector], interrupt)
            if projector.stopped:
                raise projector.failure()
            end = await log.last_sequence()
            if await schemas.swap(engine, projection, projector.checkpoint, log_last_sequence=end):
                logger.info("projection rebuilt", projection=projection.name, sequence=projector.checkpoint.sequence)
                return True
    return False


async def _is_current(engine: AsyncEngine, projection: Projection) -> bool:
    async with engine.connect() as connection:
        live = await schemas.live_checkpoint(connection, projection)
    return live is not None and live.version == projection.version
