"""A miner's file: every decision about one hotkey, the newest first.

A page is cut from five sources: announcements, plans, outcomes, spot checks and results. Each knows the hotkey, or
the cycles into which it was planned. Another kind of event about a miner is another source beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.envelope import RecordedEvent
from events.episodes import EpisodeOutcome
from events.ids import CycleId, Hotkey, Uid
from projectors.cycles.tables import seals
from projectors.episodes import queries as episodes
from projectors.miners.tables import announcements, rosters
from projectors.verifications import queries as verifications
from projectors.verifications.queries import Check
from projectors.weights.tables import results, standings


@dataclass(frozen=True, slots=True)
class Announced:
    """Discovered, committed to something else, rejected for the reason in `code` and `detail`, or departed.

    Where it was rejected or departed there is no commitment.
    """

    sequence: int
    time: datetime
    kind: str
    uid: Uid
    block: int
    repo: str | None
    revision: str | None
    endpoint: str | None
    commitment_block: int | None
    code: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """Planned into a cycle."""

    sequence: int
    time: datetime
    uid: Uid
    block: int
    cycle: CycleId


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a cycle resulted in for the miner. `reason` and `detail`: why its weights were withheld."""

    sequence: int
    time: datetime
    uid: Uid
    block: int
    cycle: CycleId
    on_frontier: bool | None
    points: str | None
    """Exact, as the weight is; None where the cycle was abandoned."""
    weight: str | None
    moved: bool | None
    unverified: bool | None
    reason: str | None
    detail: str | None


Decision = Announced | Planned | Check | Weighed | RecordedEvent[EpisodeOutcome]


async def is_known(connection: AsyncConnection, hotkey: Hotkey, *, up_to: int) -> bool:
    """Whether any event up to this sequence names the hotkey as a miner."""
    for table in (announcements, rosters):
        query = select(table.c.hotkey).where(table.c.hotkey == hotkey, table.c.sequence <= up_to).limit(1)
        if await connection.scalar(query) is not None:
            return True
    return False


async def last_announced(connection: AsyncConnection, hotkey: Hotkey) -> Announced | None:
    """The newest that discovery said of the hotkey."""
    row = (await connection.execute(_announced(hotkey, 2**63 - 1, 1))).one_or_none()
    return None if row is None else Announced(**row._mapping)


async def last_ended(
    connection: AsyncConnection, hotkey: Hotkey, cycle: CycleId | None = None
) -> tuple[CycleId, Uid] | None:
    """The newest cycle of the hotkey that has ended, and its uid there; or this one, where it has ended."""
    query = (
        select(rosters.c.cycle, rosters.c.uid)
        .select_from(rosters.join(seals, seals.c.cycle == rosters.c.cycle))
        .where(rosters.c.hotkey == hotkey)
        .order_by(rosters.c.cycle.desc())
        .limit(1)
    )
    row = (await connection.execute(query if cycle is None else query.where(rosters.c.cycle == cycle))).one_or_none()
    return None if row is None else (row.cycle, row.uid)


async def newest(connection: AsyncConnection, hotkey: Hotkey, *, up_to: int, limit: int) -> list[Decision]:
    """At most `limit` decisions up to a sequence, the newest first.

    All projections must have seen `up_to`, or there may be gaps.
    """
    found: list[Decision] = [
        *(Announced(**row._mapping) for row in await connection.execute(_announced(hotkey, up_to, limit))),
        *(Planned(**row._mapping) for row in await connection.execute(_planned(hotkey, up_to, limit))),
        *(Weighed(**row._mapping) for row in await connection.execute(_weighed(hotkey, up_to, limit))),
        *await verifications.newest_of_miner(connection, hotkey, up_to=up_to, limit=limit),
        *await _outcomes(connection, hotkey, up_to, limit),
    ]
    return sorted(found, key=lambda it: it.sequence, reverse=True)[:limit]


def _announced(hotkey: Hotkey, up_to: int, limit: int) -> Select[Any]:
    columns = [column for column in announcements.c if column is not announcements.c.hotkey]
    query = select(*columns).where(announcements.c.hotkey == hotkey, announcements.c.sequence <= up_to)
    return query.order_by(announcements.c.sequence.desc()).limit(limit)


def _planned(hotkey: Hotkey, up_to: int, limit: int) -> Select[Any]:
    columns = [column for column in rosters.c if column is not rosters.c.hotkey]
    query = select(*columns).where(rosters.c.hotkey == hotkey, rosters.c.sequence <= up_to)
    return query.order_by(rosters.c.sequence.desc()).limit(limit)


def _weighed(hotkey: Hotkey, up_to: int, limit: int) -> Select[Any]:
    standing = and_(standings.c.cycle == rosters.c.cycle, standings.c.uid == rosters.c.uid)
    return (
        select(
            results.c.sequence,
            results.c.created_at.label("time"),
            rosters.c.uid,
            results.c.block,
            results.c.cycle,
            standings.c.on_frontier,
            standings.c.points,
            standings.c.weight,
            standings.c.moved,
            standings.c.unverified,
            results.c.reason,
            results.c.detail,
        )
        .select_from(rosters.join(results, results.c.cycle == rosters.c.cycle).outerjoin(standings, standing))
        .where(rosters.c.hotkey == hotkey, results.c.sequence <= up_to)
        .order_by(results.c.sequence.desc())
        .limit(limit)
    )


async def _outcomes(
    connection: AsyncConnection, hotkey: Hotkey, up_to: int, limit: int
) -> list[RecordedEvent[EpisodeOutcome]]:
    """Cycle by cycle, until no other can hold a newer one: its outcomes lie between its plan and its end."""
    cycles = (
        select(rosters.c.cycle, rosters.c.uid, seals.c.sequence.label("end"))
        .select_from(rosters.outerjoin(seals, seals.c.cycle == rosters.c.cycle))
        .where(rosters.c.hotkey == hotkey, rosters.c.sequence <= up_to)
        .order_by(seals.c.sequence.desc().nulls_first())
    )
    found: list[RecordedEvent[EpisodeOutcome]] = []
    for row in (await connection.execute(cycles)).all():
        if len(found) >= limit and row.end is not None and row.end < found[limit - 1].sequence:
            break
        found += await episodes.newest_of_miner(connection, row.cycle, row.uid, up_to=up_to, limit=limit)
        found.sort(key=lambda it: it.sequence, reverse=True)
        del found[limit:]
    return found
