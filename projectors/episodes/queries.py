"""What the read model of episodes answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import CycleId, EnvId, EpisodeKey, Hotkey, Uid
from projectors.episodes.tables import attempts, outcomes

OutcomeKind = Literal["completed", "forfeited", "abandoned"]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the policy took to answer."""

    calls: int
    p50_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one episode ended. What does not apply to its kind of outcome is None."""

    key: EpisodeKey
    hotkey: Hotkey
    outcome: OutcomeKind
    attempts: int
    code: str | None
    detail: str | None
    success: bool | None
    total_reward: float | None
    steps: int | None
    terminated: bool | None
    truncated: bool | None
    variation: dict[str, float] | None
    action_digest: str | None
    final_state_digest: str | None
    latency: Latency | None
    duration_s: float | None
    worker: str | None
    ended_at: datetime
    event_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One attempt in which we failed, not the policy."""

    attempt: int
    code: str
    detail: str
    worker: str
    failed_at: datetime
    event_id: str
    sequence: int


async def of_cycle(
    connection: AsyncConnection,
    cycle: CycleId,
    *,
    uid: Uid | None = None,
    env: EnvId | None = None,
    after: EpisodeKey | None = None,
    limit: int,
) -> list[Outcome]:
    """At most `limit` outcomes of a cycle past `after`, ordered by uid, environment and index."""
    query = select(outcomes).where(outcomes.c.cycle == cycle)
    if uid is not None:
        query = query.where(outcomes.c.uid == uid)
    if env is not None:
        query = query.where(outcomes.c.env == env)
    place = (outcomes.c.uid, outcomes.c.env, outcomes.c.index)
    if after is not None:
        query = query.where(tuple_(*place) > tuple_(after.uid, after.env, after.index))
    return [_outcome(row) for row in await connection.execute(query.order_by(*place).limit(limit))]


async def outcome(connection: AsyncConnection, key: EpisodeKey) -> Outcome | None:
    row = (await connection.execute(select(outcomes).where(*_is(outcomes, key)))).one_or_none()
    return None if row is None else _outcome(row)


async def failed_attempts(connection: AsyncConnection, key: EpisodeKey) -> list[FailedAttempt]:
    """The attempts of this episode in which we failed, in order."""
    query = select(attempts).where(*_is(attempts, key)).order_by(attempts.c.attempt)
    return [
        FailedAttempt(row.attempt, row.code, row.detail, row.worker, row.failed_at, row.event_id, row.sequence)
        for row in await connection.execute(query)
    ]


def _is(table: Any, key: EpisodeKey) -> list[Any]:
    return [
        table.c.cycle == key.cycle,
        table.c.uid == key.uid,
        table.c.env == key.env,
        table.c.index == key.index,
    ]


def _outcome(row: Row[Any]) -> Outcome:
    value = row._mapping  # `row.index` would be the tuple's own method
    return Outcome(
        key=EpisodeKey(value["cycle"], value["uid"], value["env"], value["index"]),
        hotkey=value["hotkey"],
        outcome=value["outcome"],
        attempts=value["attempts"],
        code=value["code"],
        detail=value["detail"],
        success=value["success"],
        total_reward=value["total_reward"],
        steps=value["steps"],
        terminated=value["terminated"],
        truncated=value["truncated"],
        variation=value["variation"],
        action_digest=value["action_digest"],
        final_state_digest=value["final_state_digest"],
        latency=_latency(value),
        duration_s=value["duration_s"],
        worker=value["worker"],
        ended_at=value["ended_at"],
        event_id=value["event_id"],
        sequence=value["sequence"],
    )


def _latency(value: Any) -> Latency | None:
    if value["act_calls"] is None:
        return None
    return Latency(value["act_calls"], value["act_p50_ms"], value["act_max_ms"])
