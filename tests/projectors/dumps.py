"""What stands in the tables, for comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from projectors import schemas
from projectors.cycles.tables import progress
from projectors.episodes.tables import outcomes
from projectors.topics import PROJECTIONS


async def dump(engine: AsyncEngine) -> dict[str, list[str]]:
    """All rows of all projections, sorted, as text; the checkpoints too."""
    tables = [table.fullname for projection in PROJECTIONS for table in projection.metadata.sorted_tables]
    tables += [f"{projection.name}.checkpoint" for projection in PROJECTIONS]
    async with engine.connect() as connection:
        return {
            table: sorted((await connection.scalars(text(f"SELECT t::text FROM {table} t"))).all())
            for table in tables
        }


async def rows(engine: AsyncEngine, *, suffix: str = "") -> dict[str, list[str]]:
    """All rows of all projections, sorted, as text; with the suffix of a schema, those there."""
    found = {}
    async with engine.connect() as connection:
        for table in (table for projection in PROJECTIONS for table in projection.metadata.sorted_tables):
            query = text(f"SELECT t::text FROM {table.schema}{suffix}.{table.name} t")
            found[table.fullname] = sorted((await connection.scalars(query)).all())
    return found


async def drop_all(engine: AsyncEngine) -> None:
    """As if nothing had ever been projected."""
    async with engine.begin() as connection:
        for projection in PROJECTIONS:
            await schemas.drop(connection, projection.name)


async def counted(engine: AsyncEngine) -> Counter[str]:
    """The counters of all cycles together."""
    names = ("completed", "successful", "forfeited", "abandoned", "attempts_failed")
    async with engine.connect() as connection:
        row = (await connection.execute(select(*(func.sum(progress.c[name]).label(name) for name in names)))).one()
    return Counter({name: int(row._mapping[name] or 0) for name in names})


async def outcome_rows(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return (await connection.scalar(select(func.count()).select_from(outcomes))) or 0


def expected_counts(events: Iterable[Event]) -> Counter[str]:
    """What the counters must be after these events."""
    counts = Counter[str]({"completed": 0, "successful": 0, "forfeited": 0, "abandoned": 0, "attempts_failed": 0})
    names: dict[Any, str] = {
        EpisodeCompleted: "completed",
        EpisodeForfeited: "forfeited",
        EpisodeAbandoned: "abandoned",
        EpisodeAttemptFailed: "attempts_failed",
    }
    for event in events:
        if name := names.get(type(event)):
            counts[name] += 1
        if isinstance(event, EpisodeCompleted) and event.success:
            counts["successful"] += 1
    return counts
