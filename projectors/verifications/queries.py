"""What the read model of spot checks answers, now or as of a sequence of the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ARRAY, ScalarSelect, Select, Text, func, literal, select, true
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.selectable import LateralFromClause

from events import subjects
from events.codec import decode
from events.copies import Copy
from events.ids import CycleId, Hotkey, Uid
from events.log import Stored
from events.verification import (
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
)
from projectors.verifications.tables import checks, copies

Outcome = Literal["passed", "failed", "inconclusive"]
INCONCLUSIVE: Outcome = "inconclusive"


@dataclass(frozen=True, slots=True)
class Check:
    """How one spot check ended, in brief. Where no actions were compared there is neither method nor score."""

    cycle: CycleId
    uid: Uid
    hotkey: Hotkey
    outcome: Outcome
    reason: str | None
    """Why it failed, or could not be made; None, as the detail, where it passed."""
    detail: str | None
    method: str | None
    score: float | None
    """In [0, 1]."""
    repo: str
    revision: str
    commit: str | None
    time: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What the latest conclusive check of a miner says, and since when its checks have said so."""

    latest: Check
    since_cycle: CycleId
    """Of the first of its conclusive checks that ended so, with none between that ended otherwise."""


async def of_cycle(connection: AsyncConnection, cycle: CycleId, *, as_of: int | None = None) -> list[Check]:
    """By uid: there are no more of them than miners in the cycle."""
    query = _briefs(as_of).where(checks.c.cycle == cycle).order_by(checks.c.uid)
    return [Check(**row._mapping) for row in await connection.execute(query)]


async def newest_of_miner(connection: AsyncConnection, hotkey: Hotkey, *, up_to: int, limit: int) -> list[Check]:
    """At most `limit` checks of a hotkey up to a sequence, the newest first."""
    query = _briefs(up_to).where(checks.c.hotkey == hotkey).order_by(checks.c.sequence.desc()).limit(limit)
    return [Check(**row._mapping) for row in await connection.execute(query)]


async def check(
    connection: AsyncConnection, cycle: CycleId, uid: Uid, *, as_of: int | None = None
) -> tuple[Check, VerificationOutcome] | None:
    """In brief, and the event, which holds every action that was compared."""
    query = _briefs(as_of).add_columns(checks.c.event).where(checks.c.cycle == cycle, checks.c.uid == uid)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    brief = Check(*row[:-1])
    event = decode(Stored(brief.sequence, subjects.verification(cycle, uid), row.event)).event
    assert isinstance(event, VerificationPassed | VerificationFailed | VerificationInconclusive)
    return brief, event


async def standings(
    connection: AsyncConnection, hotkeys: Iterable[Hotkey], *, as_of: int | None = None
) -> dict[Hotkey, Standing]:
    """Of those hotkeys that have ever had a conclusive check."""
    named = func.unnest(literal(list(hotkeys), ARRAY(Text))).table_valued("hotkey").render_derived(name="named")
    of_named = _briefs(as_of).where(checks.c.hotkey == named.c.hotkey, checks.c.outcome != INCONCLUSIVE)
    latest = of_named.order_by(checks.c.sequence.desc()).limit(1).lateral("latest")
    query = select(*latest.c, _since(latest)).select_from(named.join(latest, true()))
    found = [(Check(*row[:-1]), row[-1]) for row in await connection.execute(query)]
    return {each.hotkey: Standing(each, since) for each, since in found}


async def copies_of_cycle(connection: AsyncConnection, cycle: CycleId, *, as_of: int | None = None) -> list[Copy]:
    """In the order of the event; none also where the cycle is not scored yet."""
    query = select(copies.c.copy).where(copies.c.cycle == cycle).order_by(copies.c.place)
    if as_of is not None:
        query = query.where(copies.c.sequence <= as_of)
    return [Copy.model_validate(each) for each in await connection.scalars(query)]


def _briefs(as_of: int | None) -> Select[Any]:
    """The columns of `Check`, in its order."""
    query = select(*(checks.c[each.name] for each in fields(Check)))
    return query if as_of is None else query.where(checks.c.sequence <= as_of)


def _since(latest: LateralFromClause) -> ScalarSelect[Any]:
    """The cycle of the first conclusive check in the unbroken run that ends with the latest."""
    run, other = checks.alias(), checks.alias()
    ended_otherwise = (
        select(func.coalesce(func.max(other.c.sequence), 0))
        .where(other.c.hotkey == latest.c.hotkey, other.c.sequence < latest.c.sequence)
        .where(other.c.outcome.not_in((INCONCLUSIVE, latest.c.outcome)))
    )
    return (
        select(func.min(run.c.cycle))
        .where(run.c.hotkey == latest.c.hotkey, run.c.outcome == latest.c.outcome)
        .where(run.c.sequence > ended_otherwise.scalar_subquery(), run.c.sequence <= latest.c.sequence)
        .scalar_subquery()
    )
