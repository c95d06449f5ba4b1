"""What the read model of time answers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from projectors.moments.tables import seconds


async def first_after(connection: AsyncConnection, moment: datetime) -> int | None:
    """The sequence of the first event from a later second than `moment` (in UTC), None if there is none yet."""
    query = select(seconds.c.sequence).where(seconds.c.second > moment.isoformat()[:19])
    return await connection.scalar(query.order_by(seconds.c.second).limit(1))
