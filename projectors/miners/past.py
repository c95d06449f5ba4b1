"""Miners as they were when the log ended at a sequence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Subquery, select, true
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import Hotkey
from projectors.episodes import queries as episodes
from projectors.episodes.tables import outcomes
from projectors.miners.queries import Miner
from projectors.miners.tables import announcements, rosters


async def miners(connection: AsyncConnection, as_of: int) -> list[Miner]:
    """As `queries.miners`. The projections of miners and of episodes must have seen `as_of`."""
    seen, committed = _newest(as_of, "seen"), _newest(as_of, "committed", with_commitment=True)
    registered = seen.c.kind.not_in(("departed", "commitment_rejected")).label("registered")
    query = (
        select(
            seen.c.uid,
            seen.c.hotkey,
            registered,
            committed.c.repo,
            committed.c.revision,
            committed.c.endpoint,
            committed.c.commitment_block,
            seen.c.code,
            seen.c.detail,
        )
        .ext(distinct_on(seen.c.uid))
        .select_from(seen.join(committed, committed.c.hotkey == seen.c.hotkey))
        .order_by(seen.c.uid, registered.desc(), seen.c.sequence.desc())
    )
    rows = (await connection.execute(query)).all()
    evaluations = await _evaluations(connection, as_of, [row.hotkey for row in rows])
    return [Miner(**row._mapping, **evaluations[row.hotkey]) for row in rows]


def _newest(as_of: int, name: str, *, with_commitment: bool = False) -> Subquery:
    """The newest announcement of each hotkey."""
    columns = announcements.c
    query = select(announcements).ext(distinct_on(columns.hotkey)).where(columns.sequence <= as_of)
    if with_commitment:
        query = query.where(columns.commitment_block.is_not(None))
    return query.order_by(columns.hotkey, columns.sequence.desc()).subquery(name)


async def _evaluations(
    connection: AsyncConnection, as_of: int, hotkeys: Iterable[Hotkey]
) -> dict[Hotkey, dict[str, Any]]:
    """When each was last evaluated: the newest of its episodes that had a result, in the newest cycle with any.

    Cycles do not overlap, so an earlier one has nothing newer.
    """
    episode = (
        select(outcomes)
        .where(outcomes.c.cycle == rosters.c.cycle, outcomes.c.uid == rosters.c.uid)
        .where(outcomes.c.sequence <= as_of, outcomes.c.success.is_not(None))
        .order_by(outcomes.c.sequence.desc())
        .limit(1)
        .lateral("episode")
    )
    found: dict[Hotkey, dict[str, Any]] = {}
    for hotkey in hotkeys:
        query = (
            select(episode)
            .select_from(rosters.join(episode, true()))
            .where(rosters.c.hotkey == hotkey, rosters.c.sequence <= as_of)
            .order_by(rosters.c.cycle.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        recorded = None if row is None else episodes.recorded(row)
        found[hotkey] = {
            "last_evaluated": recorded and recorded.time,
            "last_cycle": recorded and recorded.event.cycle,
        }
    return found
