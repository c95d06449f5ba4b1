"""What the read model of cycles answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Double, Row, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import CycleId, EnvId, EpisodeKey, Hotkey
from projectors.cycles.tables import plans, progress, seals, seeds


@dataclass(frozen=True, slots=True)
class Counts:
    """How many episodes have ended so far, and how."""

    completed: int
    successful: int
    forfeited: int
    abandoned: int
    attempts_failed: int


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the cycles that ended in one way took, from plan to end."""

    cumulative: tuple[int, ...]
    """How many took at most as long as each bound."""
    count: int
    sum_s: float


CycleStatus = Literal["planned", "running", "sealed", "abandoned"]


@dataclass(frozen=True, slots=True)
class CycleSummary:
    """One cycle in brief."""

    cycle: CycleId
    status: CycleStatus
    block: int
    planned_at: datetime
    ended_at: datetime | None
    episodes_planned: int
    progress: Counts


@dataclass(frozen=True, slots=True)
class CycleDetail:
    """One cycle with everything that the log says about it; `plan` and `seal` are the fields of those events."""

    summary: CycleSummary
    plan: dict[str, Any]
    seed_block: int | None
    seed_block_hash: str | None
    seal: dict[str, Any] | None
    environments: dict[EnvId, Counts]


@dataclass(frozen=True, slots=True)
class EnvironmentSummary:
    """One environment over all cycles. Enabled: it is part of the newest plan."""

    env: EnvId
    enabled: bool
    first_cycle: CycleId
    last_cycle: CycleId
    counts: Counts


@dataclass(frozen=True, slots=True)
class Overview:
    """Where the evaluation stands. Blocks are the newest that any event of a cycle names."""

    total_cycles: int
    current_cycle: CycleId | None
    """Planned and not ended."""
    last_completed_cycle: CycleId | None
    last_completed_block: int | None
    latest_block: int | None
    last_planned_at: datetime | None
    environments: tuple[EnvId, ...]
    """Of the newest plan."""


async def newest_cycles(
    connection: AsyncConnection, *, before: CycleId | None = None, limit: int
) -> list[CycleSummary]:
    """At most `limit` cycles, newest first, with numbers below `before`."""
    query = _summaries().order_by(plans.c.cycle.desc()).limit(limit)
    if before is not None:
        query = query.where(plans.c.cycle < before)
    return [_summary(row) for row in await connection.execute(query)]


async def cycle(connection: AsyncConnection, number: CycleId) -> CycleDetail | None:
    query = _summaries().add_columns(
        plans.c.plan, seals.c.seal, seeds.c.block.label("seed_block"), seeds.c.block_hash
    )
    row = (await connection.execute(query.where(plans.c.cycle == number))).one_or_none()
    if row is None:
        return None
    by_env = select(progress).where(progress.c.cycle == number).order_by(progress.c.env)
    return CycleDetail(
        summary=_summary(row),
        plan=row.plan,
        seed_block=row.seed_block,
        seed_block_hash=row.block_hash,
        seal=row.seal,
        environments={each.env: _counts(each) for each in await connection.execute(by_env)},
    )


async def plan_sequence(connection: AsyncConnection, number: CycleId) -> int | None:
    """Where in the log the plan of this cycle stands."""
    return await connection.scalar(select(plans.c.sequence).where(plans.c.cycle == number))


async def exists(connection: AsyncConnection, number: CycleId, *, as_of: int | None = None) -> bool:
    """Whether a cycle of this number was planned; with `as_of`, by that sequence."""
    query = select(plans.c.cycle).where(plans.c.cycle == number)
    if as_of is not None:
        query = query.where(plans.c.sequence <= as_of)
    return await connection.scalar(query) is not None


async def plan(connection: AsyncConnection, number: CycleId, *, as_of: int | None = None) -> dict[str, Any] | None:
    """The fields of this cycle's plan; None where there was none, with `as_of`, by that sequence."""
    query = select(plans.c.plan).where(plans.c.cycle == number)
    return await connection.scalar(query if as_of is None else query.where(plans.c.sequence <= as_of))


async def has_ended(connection: AsyncConnection, number: CycleId, *, as_of: int | None = None) -> bool:
    """Whether the cycle was sealed or abandoned; with `as_of`, by that sequence."""
    query = select(seals.c.cycle).where(seals.c.cycle == number)
    if as_of is not None:
        query = query.where(seals.c.sequence <= as_of)
    return await connection.scalar(query) is not None


async def sealed_at(connection: AsyncConnection, number: CycleId) -> int | None:
    """The sequence of the cycle's seal. By then each planned episode has its outcome; None if it has none."""
    query = select(seals.c.sequence).where(seals.c.cycle == number, seals.c.status == "sealed")
    found: int | None = await connection.scalar(query)
    return found


async def planned_hotkey(connection: AsyncConnection, key: EpisodeKey) -> Hotkey | None:
    """Whose episode this is, if the plan of its cycle holds it."""
    plan = await connection.scalar(select(plans.c.plan).where(plans.c.cycle == key.cycle))
    if plan is None or key.env not in plan["environments"] or key.index >= plan["episodes_per_environment"]:
        return None
    return next((Hotkey(entry["hotkey"]) for entry in plan["roster"] if entry["uid"] == key.uid), None)


async def environments(connection: AsyncConnection) -> list[EnvironmentSummary]:
    """All environments that were ever part of a plan."""
    newest = await connection.scalar(select(func.max(plans.c.cycle)))
    query = (
        select(
            progress.c.env,
            func.min(progress.c.cycle).label("first_cycle"),
            func.max(progress.c.cycle).label("last_cycle"),
            *_sums(),
        )
        .group_by(progress.c.env)
        .order_by(progress.c.env)
    )
    return [
        EnvironmentSummary(row.env, row.last_cycle == newest, row.first_cycle, row.last_cycle, _counts(row))
        for row in await connection.execute(query)
    ]


async def overview(connection: AsyncConnection) -> Overview:
    completed = select(func.max(seals.c.cycle)).where(seals.c.status == "sealed").scalar_subquery()
    current = (
        select(func.max(plans.c.cycle))
        .where(~select(seals.c.cycle).where(seals.c.cycle == plans.c.cycle).exists())
        .scalar_subquery()
    )
    newest = plans.alias()
    plan = select(newest.c.plan).order_by(newest.c.cycle.desc()).limit(1).scalar_subquery()
    completed_plan = plans.alias()
    row = (
        await connection.execute(
            select(
                func.count(plans.c.cycle).label("total"),
                current.label("current"),
                completed.label("completed"),
                select(completed_plan.c.block)
                .where(completed_plan.c.cycle == completed)
                .scalar_subquery()
                .label("block"),
                func.greatest(func.max(plans.c.block), select(func.max(seeds.c.block)).scalar_subquery()).label(
                    "latest"
                ),
                func.max(plans.c.planned_at).label("planned_at"),
                plan.label("plan"),
            )
        )
    ).one()
    return Overview(
        total_cycles=row.total,
        current_cycle=row.current,
        last_completed_cycle=row.completed,
        last_completed_block=row.block,
        latest_block=row.latest,
        last_planned_at=row.planned_at,
        environments=tuple(row.plan["environments"]) if row.plan else (),
    )


async def durations(connection: AsyncConnection, bounds_s: Sequence[float]) -> dict[str, Durations]:
    """By how they ended: sealed or abandoned."""
    duration_s = cast(func.extract("epoch", seals.c.ended_at - plans.c.planned_at), Double)
    within = [func.count().filter(duration_s <= bound_s) for bound_s in bounds_s]
    query = (
        select(seals.c.status, func.count(), func.coalesce(func.sum(duration_s), 0.0), *within)
        .join(plans, plans.c.cycle == seals.c.cycle)
        .group_by(seals.c.status)
    )
    return {
        status: Durations(tuple(cumulative), count, sum_s)
        for status, count, sum_s, *cumulative in await connection.execute(query)
    }


def _sums() -> list[Any]:
    names = ("completed", "successful", "forfeited", "abandoned", "attempts_failed")
    return [func.coalesce(func.sum(progress.c[name]), 0).cast(progress.c[name].type).label(name) for name in names]


def _summaries() -> Select[Any]:
    status = case(
        (seals.c.status.is_not(None), seals.c.status), (seeds.c.cycle.is_not(None), "running"), else_="planned"
    )
    counts = select(*_sums()).where(progress.c.cycle == plans.c.cycle).lateral()
    return select(
        plans.c.cycle,
        status.label("status"),
        plans.c.block,
        plans.c.planned_at,
        seals.c.ended_at,
        plans.c.episodes_planned,
        counts,
    ).select_from(
        plans.outerjoin(seeds, seeds.c.cycle == plans.c.cycle)
        .outerjoin(seals, seals.c.cycle == plans.c.cycle)
        .join(counts, plans.c.cycle.is_not(None))
    )


def _summary(row: Row[Any]) -> CycleSummary:
    return CycleSummary(
        cycle=row.cycle,
        status=row.status,
        block=row.block,
        planned_at=row.planned_at,
        ended_at=row.ended_at,
        episodes_planned=row.episodes_planned,
        progress=_counts(row),
    )


def _counts(row: Row[Any]) -> Counts:
    return Counts(row.completed, row.successful, row.forfeited, row.abandoned, row.attempts_failed)
