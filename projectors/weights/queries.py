"""What the read model of results answers: weights and scores, now or as of a sequence of the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import CycleId, EnvId, Hotkey, Uid
from projectors.weights.tables import results, standings, tallies


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one cycle. `weights` holds exact decimals as text, by uid in their order."""

    cycle: CycleId
    block: int
    weights: dict[Uid, str]
    u16_uids: list[int]
    u16_values: list[int]
    merkle_root: str
    created_at: datetime
    event_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How the planned episodes of a miner on an environment ended. Counted: completed and forfeited ones."""

    completed: int
    successful: int
    forfeited: int
    abandoned: int

    @property
    def rate(self) -> float | None:
        """Successes per counted episode, in [0, 1]; None where none could be counted."""
        counted = self.completed + self.forfeited
        return self.successful / counted if counted else None


@dataclass(frozen=True, slots=True)
class Standing:
    """One miner's result in a cycle; points and weight are exact decimals as text."""

    uid: Uid
    hotkey: Hotkey
    on_frontier: bool
    points: str
    weight: str
    moved: bool
    """It no longer held its uid when the cycle ended, so it has no weight."""
    unverified: bool
    """It failed a spot check, and none has passed since, so it has no weight."""
    tallies: dict[EnvId, Tally]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a cycle resulted in. `reason` says why its weights were withheld, None if they were not."""

    cycle: CycleId
    block: int
    created_at: datetime
    merkle_root: str | None
    epsilons: dict[EnvId, str]
    reason: str | None
    detail: str | None
    standings: list[Standing]


async def latest_weights_event(connection: AsyncConnection) -> str | None:
    """The id of the event that holds the weights in force: cheap, to find out whether anything is new."""
    query = select(results.c.event_id).where(results.c.computed).order_by(results.c.cycle.desc()).limit(1)
    return await connection.scalar(query)


async def latest_weights(connection: AsyncConnection, *, as_of: int | None = None) -> Weights | None:
    """The weights in force: those of the newest cycle that has any."""
    return await _weights(connection, _computed(as_of))


async def weights_of_block(connection: AsyncConnection, block: int, *, as_of: int | None = None) -> Weights | None:
    """The weights of the cycle that was planned at this block; of the newest, if there were several."""
    return await _weights(connection, _computed(as_of).where(results.c.block == block))


async def weights_of_cycle(connection: AsyncConnection, cycle: CycleId) -> Weights | None:
    """None where they were withheld, too; `scores_of_cycle` says why."""
    return await _weights(connection, _computed(None).where(results.c.cycle == cycle))


async def latest_scores(connection: AsyncConnection, *, as_of: int | None = None) -> Scores | None:
    """Of the newest cycle that was not abandoned."""
    ranked = select(standings.c.cycle).where(standings.c.cycle == results.c.cycle).exists()
    return await _scores(connection, _results(as_of).where(ranked).order_by(results.c.cycle.desc()).limit(1))


async def scores_of_cycle(connection: AsyncConnection, cycle: CycleId, *, as_of: int | None = None) -> Scores | None:
    return await _scores(connection, _results(as_of).where(results.c.cycle == cycle))


def _computed(as_of: int | None) -> Select[Any]:
    return _results(as_of).where(results.c.computed).order_by(results.c.cycle.desc()).limit(1)


def _results(as_of: int | None) -> Select[Any]:
    query = select(results)
    return query if as_of is None else query.where(results.c.sequence <= as_of)


async def _weights(connection: AsyncConnection, query: Select[Any]) -> Weights | None:
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    by_uid = select(standings.c.uid, standings.c.weight).where(standings.c.cycle == row.cycle)
    found = await connection.execute(by_uid.order_by(standings.c.uid))
    return Weights(
        cycle=row.cycle,
        block=row.block,
        weights={each.uid: each.weight for each in found},
        u16_uids=row.u16_uids,
        u16_values=row.u16_values,
        merkle_root=row.merkle_root,
        created_at=row.created_at,
        event_id=row.event_id,
        sequence=row.sequence,
    )


async def _scores(connection: AsyncConnection, query: Select[Any]) -> Scores | None:
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return Scores(
        cycle=row.cycle,
        block=row.block,
        created_at=row.created_at,
        merkle_root=row.merkle_root,
        epsilons=row.epsilons,
        reason=row.reason,
        detail=row.detail,
        standings=await _standings(connection, row.cycle),
    )


async def _standings(connection: AsyncConnection, cycle: CycleId) -> list[Standing]:
    by_miner: dict[Uid, dict[EnvId, Tally]] = {}
    query = select(tallies).where(tallies.c.cycle == cycle).order_by(tallies.c.uid, tallies.c.env)
    for row in await connection.execute(query):
        by_miner.setdefault(row.uid, {})[row.env] = _tally(row)
    miners = select(standings).where(standings.c.cycle == cycle).order_by(standings.c.uid)
    return [_standing(row, by_miner.get(row.uid, {})) for row in await connection.execute(miners)]


def _standing(row: Row[Any], by_env: dict[EnvId, Tally]) -> Standing:
    return Standing(
        uid=row.uid,
        hotkey=row.hotkey,
        on_frontier=row.on_frontier,
        points=row.points,
        weight=row.weight,
        moved=row.moved,
        unverified=row.unverified,
        tallies=by_env,
    )


def _tally(row: Row[Any]) -> Tally:
    return Tally(row.completed, row.successful, row.forfeited, row.abandoned)
