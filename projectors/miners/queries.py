"""What the read model of miners answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from events.ids import CycleId, Hotkey, Uid
from projectors.miners.tables import commitments, evaluations, registrations


@dataclass(frozen=True, slots=True)
class Miner:
    """Who holds a uid, or held it last. `registered` is False where it has departed, or was rejected with a code."""

    uid: Uid
    hotkey: Hotkey
    registered: bool
    repo: str | None
    """None, as the revision, where the newest commitment was rejected."""
    revision: str | None
    endpoint: str | None
    """None also where it was committed encrypted."""
    commitment_block: int
    code: str | None
    """Why the commitment was rejected; None where it was not."""
    detail: str | None
    last_evaluated: datetime | None
    last_cycle: CycleId | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all miners ever seen."""

    registered: int
    evaluated: int
    latest_block: int | None
    """The newest that any event of a miner names."""


async def miners(connection: AsyncConnection) -> list[Miner]:
    """One per uid, in their order: there are no more of them than slots on the subnet."""
    query = (
        select(
            registrations.c.uid,
            registrations.c.hotkey,
            registrations.c.registered,
            commitments.c.repo,
            commitments.c.revision,
            commitments.c.endpoint,
            commitments.c.block.label("commitment_block"),
            registrations.c.code,
            registrations.c.detail,
            evaluations.c.last_evaluated,
            evaluations.c.last_cycle,
        )
        .ext(distinct_on(registrations.c.uid))
        .select_from(
            registrations.join(commitments, commitments.c.hotkey == registrations.c.hotkey).outerjoin(
                evaluations, evaluations.c.hotkey == registrations.c.hotkey
            )
        )
        .order_by(registrations.c.uid, registrations.c.registered.desc(), registrations.c.sequence.desc())
    )
    return [Miner(**row._mapping) for row in await connection.execute(query)]


async def totals(connection: AsyncConnection) -> Totals:
    row = (
        await connection.execute(
            select(
                func.count().filter(registrations.c.registered).label("registered"),
                select(func.count()).select_from(evaluations).scalar_subquery().label("evaluated"),
                func.max(registrations.c.block).label("latest_block"),
            )
        )
    ).one()
    return Totals(row.registered, row.evaluated, row.latest_block)
