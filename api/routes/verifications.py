"""Spot checks: does a miner's endpoint behave as the code that the miner committed? And who has copied whom.

Who is drawn follows from the cycle's secret, so while a cycle runs, only those whose check has ended are told, and a
miner that was not drawn looks like one whose check has not ended.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.as_of import Past
from api.dependencies import Models
from api.http.pages import Paged
from api.problems import Problem, documented, not_found
from events.copies import Copy
from events.ids import TOKEN, CycleId, Hotkey, Uid
from events.verification import (
    ComparedActions,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationTerms,
    WeightFile,
)
from projectors.cycles import queries as cycles
from projectors.cycles.tables import NAME as CYCLES
from projectors.miners import file
from projectors.miners.tables import NAME as MINERS
from projectors.verifications import queries
from projectors.verifications.tables import NAME as VERIFICATIONS

router = APIRouter(prefix="/v1", tags=["verifications"])

CyclePath = Annotated[CycleId, Path(ge=1, lt=2**63)]
UidPath = Annotated[Uid, Path(ge=0, le=65535)]


class Verification(BaseModel):
    """How one check ended, in brief. Where no actions were compared there is neither method nor score."""

    cycle_id: int
    uid: int
    hotkey: str
    outcome: queries.Outcome
    reason: Annotated[
        str | None, Field(description="why it failed, or why we could not find out; null where it passed")
    ]
    detail: Annotated[str | None, Field(description="what was expected and found, and what to do")]
    method: Annotated[str | None, Field(description="`by_value`, or `by_distribution` where the code draws")]
    score: Annotated[float | None, Field(description="how well the actions match, in [0, 1]")]
    repo: str
    revision: Annotated[str, Field(description="as committed")]
    commit: Annotated[
        str | None, Field(description="to which the revision was resolved; null if nothing was fetched")
    ]
    time: datetime
    sequence: Annotated[int, Field(description="of the event in the log")]

    @classmethod
    def of(cls, check: queries.Check) -> Verification:
        return Verification(**_named(check))


class VerificationDetail(Verification):
    """One check with every action of both sides, from which the verdict follows."""

    duration_s: float
    verifier: Annotated[str, Field(description="which process checked")]
    sandbox: Annotated[str | None, Field(description="what the committed code ran in; null where it did not run")]
    files: Annotated[
        list[WeightFile] | None, Field(description="the largest files of weights; null if nothing was fetched")
    ]
    compared: Annotated[
        ComparedActions | None, Field(description="the samples; null where it did not come to a comparison")
    ]


class CycleVerifications(BaseModel):
    """The checks of one cycle, by uid."""

    cycle_id: int
    ended: Annotated[bool, Field(description="false: others may have been drawn whose check has not ended")]
    terms: Annotated[
        VerificationTerms | None, Field(description="as the plan says; null where it has no checks at all")
    ]
    verifications: list[Verification]


class MinerVerifications(BaseModel):
    """The checks of one hotkey, newest first. A page stays what it is, whatever happens later."""

    hotkey: str
    verifications: list[Verification]
    next_cursor: Annotated[str | None, Field(description="for the next page; null at the end")]


class CycleCopies(BaseModel):
    """By uid, then by the earlier committer. Nothing follows from them."""

    cycle_id: int
    copies: Annotated[list[Copy], Field(description="looked for when the cycle is scored: empty before that")]


@router.get("/cycles/{cycle_id}/verifications", responses=documented(404, 409, 422, 503))
async def verifications_of_cycle(cycle_id: CyclePath, models: Models, past: Past) -> CycleVerifications:
    """On which terms the miners of a cycle are checked, and all checks that have ended."""

    async def query(connection: AsyncConnection) -> CycleVerifications:
        as_of = await past.place(connection, VERIFICATIONS, CYCLES)
        plan = await _plan(connection, cycle_id, as_of)
        found = await queries.of_cycle(connection, cycle_id, as_of=as_of)
        return CycleVerifications(
            cycle_id=cycle_id,
            ended=await cycles.has_ended(connection, cycle_id, as_of=as_of),
            terms=plan.get("verification"),
            verifications=[Verification.of(each) for each in found],
        )

    return await models.ask(query)


@router.get("/cycles/{cycle_id}/verifications/{uid}", responses=documented(404, 409, 422, 503))
async def verification(cycle_id: CyclePath, uid: UidPath, models: Models, past: Past) -> VerificationDetail:
    """One check with every action that was compared."""

    async def query(connection: AsyncConnection) -> tuple[queries.Check, VerificationOutcome]:
        as_of = await past.place(connection, VERIFICATIONS, CYCLES)
        plan = await _plan(connection, cycle_id, as_of)
        if (found := await queries.check(connection, cycle_id, uid, as_of=as_of)) is not None:
            return found
        if all(entry["uid"] != uid for entry in plan["roster"]):
            raise not_found("unknown-miner", f"cycle {cycle_id} has no miner with uid {uid}")
        ended = await cycles.has_ended(connection, cycle_id, as_of=as_of)
        raise _not_checked(cycle_id, uid, plan, ended=ended)

    return _detail(*await models.ask(query))


@router.get("/miners/{hotkey}/verifications", responses=documented(404, 409, 422, 503))
async def verifications_of_miner(
    hotkey: Annotated[Hotkey, Path(pattern=rf"^{TOKEN.pattern}$")],
    models: Models,
    past: Past,
    pages: Paged,
    limit: Annotated[int, Query(ge=1, le=500, description="how many at most")] = 100,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="`next_cursor` of the page before")] = None,
) -> MinerVerifications:
    """All checks of a hotkey that have ended, newest first."""

    async def query(connection: AsyncConnection) -> list[queries.Check]:
        as_of = await past.place(connection, VERIFICATIONS, MINERS)
        if not await file.is_known(connection, hotkey, up_to=as_of):
            raise not_found("unknown-miner", f"no event up to sequence {as_of} names a miner {hotkey}")
        up_to = as_of if cursor is None else min(as_of, cursor - 1)
        return await queries.newest_of_miner(connection, hotkey, up_to=up_to, limit=limit + 1)

    found = await models.ask(query)
    page = found[:limit]
    following = str(page[-1].sequence) if len(found) > limit else None
    pages.link("cursor", following)
    return MinerVerifications(
        hotkey=hotkey,
        verifications=[Verification.of(each) for each in page],
        next_cursor=following,
    )


@router.get("/cycles/{cycle_id}/copies", responses=documented(404, 409, 422, 503))
async def copies_of_cycle(cycle_id: CyclePath, models: Models, past: Past) -> CycleCopies:
    """Whose weights are an earlier committer's, file by file, and who has acted as another on every episode."""

    async def query(connection: AsyncConnection) -> CycleCopies:
        as_of = await past.place(connection, VERIFICATIONS, CYCLES)
        await _plan(connection, cycle_id, as_of)
        return CycleCopies(cycle_id=cycle_id, copies=await queries.copies_of_cycle(connection, cycle_id, as_of=as_of))

    return await models.ask(query)


async def _plan(connection: AsyncConnection, number: CycleId, as_of: int) -> dict[str, Any]:
    plan = await cycles.plan(connection, number, as_of=as_of)
    if plan is None:
        raise not_found("unknown-cycle", f"there is no cycle {number}")
    return plan


def _not_checked(number: CycleId, uid: Uid, plan: dict[str, Any], *, ended: bool) -> Problem:
    """Of a running cycle it says nothing of whether the miner was drawn."""
    if plan.get("verification") is None:
        why = f"cycle {number} is planned without spot checks"
    elif ended:
        why = f"no spot check of uid {uid} was made in cycle {number}"
    else:
        why = f"cycle {number} has no spot check of uid {uid} so far, and may get none"
    return not_found("no-verification", why)


def _named(check: queries.Check) -> dict[str, Any]:
    fields = asdict(check)
    return {"cycle_id": fields.pop("cycle")} | fields


def _detail(brief: queries.Check, event: VerificationOutcome) -> VerificationDetail:
    conclusive = None if isinstance(event, VerificationInconclusive) else event
    return VerificationDetail(
        **_named(brief),
        duration_s=event.duration_s,
        verifier=event.verifier,
        sandbox=conclusive and conclusive.sandbox,
        files=None if event.committed is None else list(event.committed.files),
        compared=conclusive and conclusive.compared,
    )
