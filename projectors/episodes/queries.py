"""What the read model of episodes answers: the events themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events import subjects
from events.codec import CodecError, decode, decode_as
from events.envelope import RecordedEvent
from events.episodes import (
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    EpisodeOutcome,
)
from events.ids import CycleId, EnvId, EpisodeKey, Uid
from events.log import Stored
from projectors.arrival import Arrival, opened
from projectors.episodes.tables import attempts, outcomes


async def of_cycle(
    connection: AsyncConnection,
    cycle: CycleId,
    *,
    uid: Uid | None = None,
    env: EnvId | None = None,
    after: EpisodeKey | None = None,
    as_of: int | None = None,
    limit: int,
) -> list[RecordedEvent[EpisodeOutcome]]:
    """At most `limit` outcomes of a cycle past `after`, ordered by uid, environment and index.

    With `as_of`, only what was in the log at that sequence.
    """
    query = select(outcomes).where(outcomes.c.cycle == cycle)
    if as_of is not None:
        query = query.where(outcomes.c.sequence <= as_of)
    if uid is not None:
        query = query.where(outcomes.c.uid == uid)
    if env is not None:
        query = query.where(outcomes.c.env == env)
    place = (outcomes.c.uid, outcomes.c.env, outcomes.c.index)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(after.uid, after.env, after.index))
    return [recorded(row) for row in await connection.execute(query.order_by(*place).limit(limit))]


async def newest_of_miner(
    connection: AsyncConnection, cycle: CycleId, uid: Uid, *, up_to: int, limit: int
) -> list[RecordedEvent[EpisodeOutcome]]:
    """At most `limit` outcomes of a miner in a cycle, up to a sequence, the newest first."""
    query = select(outcomes).where(outcomes.c.cycle == cycle, outcomes.c.uid == uid, outcomes.c.sequence <= up_to)
    return [
        recorded(row) for row in await connection.execute(query.order_by(outcomes.c.sequence.desc()).limit(limit))
    ]


async def outcome(connection: AsyncConnection, key: EpisodeKey) -> RecordedEvent[EpisodeOutcome] | None:
    row = (await connection.execute(select(outcomes).where(*_is(outcomes, key)))).one_or_none()
    return None if row is None else recorded(row)


async def successes(connection: AsyncConnection, cycle: CycleId, uid: Uid) -> dict[tuple[EnvId, int], bool | None]:
    """By environment and index, whether each episode of a miner succeeded; None where nothing can be said."""
    query = select(outcomes.c.env, outcomes.c.index, outcomes.c.success)
    found = await connection.execute(query.where(outcomes.c.cycle == cycle, outcomes.c.uid == uid))
    return {(env, index): success for env, index, success in found}


@dataclass(frozen=True, slots=True)
class Tally:
    """How the episodes of one miner on one environment have ended."""

    uid: Uid
    env: EnvId
    completed: int
    successful: int
    forfeited: int
    abandoned: int


async def tallies(connection: AsyncConnection, cycle: CycleId, *, as_of: int) -> list[Tally]:
    """Of a cycle, counting what was in the log at this sequence, by uid and environment."""
    pair = (outcomes.c.uid, outcomes.c.env)
    is_abandoned = outcomes.c.success.is_(None)
    counts = (
        func.count().filter(~is_abandoned, ~outcomes.c.forfeited),
        func.count().filter(outcomes.c.success),
        func.count().filter(outcomes.c.forfeited),
        func.count().filter(is_abandoned),
    )
    of_cycle = (outcomes.c.cycle == cycle, outcomes.c.sequence <= as_of)
    found = await connection.execute(select(*pair, *counts).where(*of_cycle).group_by(*pair).order_by(*pair))
    return [Tally(*row) for row in found]


async def failed_attempts(connection: AsyncConnection, key: EpisodeKey) -> list[RecordedEvent[EpisodeAttemptFailed]]:
    """The attempts of this episode in which we failed, in order."""
    query = select(attempts).where(*_is(attempts, key)).order_by(attempts.c.attempt)
    return [
        decode_as(EpisodeAttemptFailed, Stored(row.sequence, subjects.attempt(key, row.attempt), row.event))
        for row in await connection.execute(query)
    ]


def _is(table: Table, key: EpisodeKey) -> list[Any]:
    columns = table.c
    return [columns.cycle == key.cycle, columns.uid == key.uid, columns.env == key.env, columns.index == key.index]


def recorded(row: Row[Any]) -> RecordedEvent[EpisodeOutcome]:
    recorded = decode(_stored(row))
    assert isinstance(recorded.event, EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned)
    return recorded  # type: ignore[return-value]  # the check above narrows the payload, not the wrapper


def arrival(row: Row[Any]) -> Arrival:
    """The outcome as it was projected."""
    found = opened(_stored(row))
    if isinstance(found, CodecError):
        raise found
    return found


def _stored(row: Row[Any]) -> Stored:
    value = row._mapping  # `row.index` would be the tuple's own method
    key = EpisodeKey(value["cycle"], value["uid"], value["env"], value["index"])
    return Stored(value["sequence"], subjects.outcome(key), value["event"])
