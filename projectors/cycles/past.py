"""Cycles as they were when the log ended at a sequence.

A plan, a seed and a seal stand at their own sequences. The counters of a cycle that had ended by then are those of
now, for no outcome comes after the end; of any other the outcomes are counted, of which there is one running cycle at
a time. Attempts of ours that failed may be told of even after the end; they are few, and always counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import CycleId, EnvId
from projectors.cycles.queries import Counts, CycleDetail, CycleStatus, CycleSummary
from projectors.cycles.tables import plans, progress, seals, seeds
from projectors.episodes.tables import attempts, outcomes

NOTHING = Counts(0, 0, 0, 0, 0)
ByEnvironment = dict[EnvId, Counts]


async def newest_cycles(
    connection: AsyncConnection, as_of: int, *, before: CycleId | None = None, limit: int
) -> list[CycleSummary]:
    """As `queries.newest_cycles`. The projections of cycles and of episodes must have seen `as_of`."""
    query = _cycles(as_of).order_by(plans.c.cycle.desc()).limit(limit)
    if before is not None:
        query = query.where(plans.c.cycle < before)
    return [each.summary for each in await _details(connection, as_of, (await connection.execute(query)).all())]


async def cycle(connection: AsyncConnection, as_of: int, number: CycleId) -> CycleDetail | None:
    """As `queries.cycle`. The projections of cycles and of episodes must have seen `as_of`."""
    rows = (await connection.execute(_cycles(as_of).where(plans.c.cycle == number))).all()
    return next(iter(await _details(connection, as_of, rows)), None)


def _cycles(as_of: int) -> Any:
    return (
        select(plans, seeds.c.block.label("seed_block"), seeds.c.block_hash)
        .add_columns(seals.c.status, seals.c.seal, seals.c.ended_at)
        .select_from(
            plans.outerjoin(seeds, (seeds.c.cycle == plans.c.cycle) & (seeds.c.sequence <= as_of)).outerjoin(
                seals, (seals.c.cycle == plans.c.cycle) & (seals.c.sequence <= as_of)
            )
        )
        .where(plans.c.sequence <= as_of)
    )


async def _details(connection: AsyncConnection, as_of: int, rows: Sequence[Row[Any]]) -> list[CycleDetail]:
    ended = [row.cycle for row in rows if row.status is not None]
    going = [row.cycle for row in rows if row.status is None]
    counted = await _final(connection, ended) | await _outcomes(connection, as_of, going)
    failed = await _attempts(connection, as_of, ended + going)
    return [_detail(row, counted.get(row.cycle, {}), failed.get(row.cycle, {})) for row in rows]


async def _final(connection: AsyncConnection, cycles: Iterable[CycleId]) -> dict[CycleId, ByEnvironment]:
    query = select(progress).where(progress.c.cycle.in_(cycles))
    return _by_cycle(await connection.execute(query))


async def _outcomes(
    connection: AsyncConnection, as_of: int, cycles: Iterable[CycleId]
) -> dict[CycleId, ByEnvironment]:
    query = (
        select(outcomes.c.cycle, outcomes.c.env, *outcome_counts())
        .where(outcomes.c.cycle.in_(cycles), outcomes.c.sequence <= as_of)
        .group_by(outcomes.c.cycle, outcomes.c.env)
    )
    return _by_cycle(await connection.execute(query))


def outcome_counts() -> list[Any]:
    """How many of a group of outcomes there are of each kind: the first columns of `progress` that count."""
    abandoned = outcomes.c.success.is_(None)
    return [
        func.count().filter(~abandoned, ~outcomes.c.forfeited).label("completed"),
        func.count().filter(outcomes.c.success).label("successful"),
        func.count().filter(outcomes.c.forfeited).label("forfeited"),
        func.count().filter(abandoned).label("abandoned"),
    ]


async def _attempts(
    connection: AsyncConnection, as_of: int, cycles: Iterable[CycleId]
) -> dict[CycleId, dict[EnvId, int]]:
    query = (
        select(attempts.c.cycle, attempts.c.env, func.count().label("failed"))
        .where(attempts.c.cycle.in_(cycles), attempts.c.sequence <= as_of)
        .group_by(attempts.c.cycle, attempts.c.env)
    )
    found: defaultdict[CycleId, dict[EnvId, int]] = defaultdict(dict)
    for row in await connection.execute(query):
        found[row.cycle][row.env] = row.failed
    return found


def _by_cycle(rows: Iterable[Row[Any]]) -> dict[CycleId, ByEnvironment]:
    found: defaultdict[CycleId, ByEnvironment] = defaultdict(dict)
    for row in rows:
        found[row.cycle][row.env] = Counts(row.completed, row.successful, row.forfeited, row.abandoned, 0)
    return found


def _detail(row: Row[Any], counted: ByEnvironment, failed: dict[EnvId, int]) -> CycleDetail:
    names = sorted({*row.plan["environments"], *counted, *failed})
    environments = {env: _with(counted.get(env, NOTHING), failed.get(env, 0)) for env in names}
    status: CycleStatus = row.status or ("running" if row.seed_block is not None else "planned")
    summary = CycleSummary(
        cycle=row.cycle,
        status=status,
        block=row.block,
        planned_at=row.planned_at,
        ended_at=row.ended_at,
        episodes_planned=row.episodes_planned,
        progress=_sum(environments.values()),
    )
    return CycleDetail(summary, row.plan, row.seed_block, row.block_hash, row.seal, environments)


def _with(counts: Counts, failed: int) -> Counts:
    return Counts(counts.completed, counts.successful, counts.forfeited, counts.abandoned, failed)


def _sum(several: Iterable[Counts]) -> Counts:
    total = NOTHING
    for it in several:
        total = Counts(
            total.completed + it.completed,
            total.successful + it.successful,
            total.forfeited + it.forfeited,
            total.abandoned + it.abandoned,
            total.attempts_failed + it.attempts_failed,
        )
    return total
