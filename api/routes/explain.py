"""Why a miner has its weight, and whether two miners can be told apart. By cycle: several may share a block."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.concurrency import run_in_threadpool

from api.dependencies import Models
from api.http.caching import for_good
from api.http.pages import Paged
from api.problems import Problem, documented, not_found
from consumers.scoring.explanation import Scored, explain
from consumers.scoring.explanation_parts import Explanation, Proof
from consumers.scoring.paired import Compared, compared
from events import subjects
from events.cycles import CyclePlanned, CycleSealed
from events.ids import CycleId, EnvId, Uid
from events.weights import EnvironmentTally, MinerStanding
from projectors.cycles import queries as cycles
from projectors.episodes import queries as episodes
from projectors.weights import queries as weights

router = APIRouter(prefix="/v1", tags=["explanations"])

CyclePath = Annotated[CycleId, Path(ge=1, lt=2**63)]
HotkeyPath = Annotated[str, Path(max_length=64, description="a hotkey or a uid of the cycle")]


@router.get("/weights/{cycle_id}/explain/{hotkey}", responses=documented(404, 409, 422, 503))
async def explanation(cycle_id: CyclePath, hotkey: HotkeyPath, models: Models, response: Response) -> Explanation:
    """Weight, points, subsets won and lost, rates and thresholds of a miner, by cycle (not by block)."""
    scored = await models.ask(lambda connection: _scored(connection, cycle_id))
    uid = _uid(scored.plan, hotkey)
    for_good(response)
    return await run_in_threadpool(explain, scored, uid)


@router.get("/cycles/{cycle_id}/compare/{hotkey}/{other}", responses=documented(404, 409, 422, 503))
async def comparison(
    cycle_id: CyclePath,
    hotkey: HotkeyPath,
    other: HotkeyPath,
    models: Models,
    pages: Paged,
    limit: Annotated[int, Query(ge=1, le=500, description="how many episodes at most")] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**31, description="`next_offset` of the page before")] = 0,
) -> Compared:
    """The episodes in which two miners differ, and whether that separates them."""

    async def query(
        connection: AsyncConnection,
    ) -> tuple[CyclePlanned, tuple[Uid, Uid], list[dict[tuple[EnvId, int], bool | None]]]:
        plan = await _plan(connection, cycle_id)
        if not await cycles.has_ended(connection, cycle_id):
            raise _conflict("cycle-not-ended", f"cycle {cycle_id} has not ended; wait for it")
        pair_of = _uid(plan, hotkey), _uid(plan, other)
        return plan, pair_of, [await episodes.successes(connection, cycle_id, uid) for uid in pair_of]

    plan, uids, (first, second) = await models.ask(query)
    found = compared(plan, uids, (first, second), limit=limit, offset=offset)
    pages.link("offset", found.next_offset, max(0, offset - limit) if offset else None)
    return found


async def _plan(connection: AsyncConnection, number: CycleId) -> CyclePlanned:
    found = await cycles.cycle(connection, number)
    if found is None:
        raise not_found("unknown-cycle", f"there is no cycle {number}")
    return CyclePlanned.model_validate(found.plan)


async def _scored(connection: AsyncConnection, number: CycleId) -> Scored:
    plan = await _plan(connection, number)
    scores = await weights.scores_of_cycle(connection, number)
    if scores is None:
        raise _conflict("not-yet-scored", f"cycle {number} has not been scored yet; wait for its weights")
    given = await weights.weights_of_cycle(connection, number)
    if given is None:
        raise _conflict("weights-withheld", f"cycle {number} gave no weights ({scores.reason}): {scores.detail}")
    return Scored(
        plan=plan,
        standings=[_standing(each) for each in scores.standings],
        u16=dict(zip(map(Uid, given.u16_uids), given.u16_values, strict=True)),
        proof=await _proof(connection, number, given),
    )


async def _proof(connection: AsyncConnection, number: CycleId, given: weights.Weights) -> Proof:
    detail = await cycles.cycle(connection, number)
    sequence = await cycles.plan_sequence(connection, number)
    if detail is None or detail.seal is None or sequence is None:
        raise _conflict("cycle-not-ended", f"the read models have no seal of cycle {number} yet; try again")
    seal = CycleSealed.model_validate(detail.seal)
    return Proof(
        plan_subject=subjects.plan(number),
        plan_sequence=sequence,
        weights_subject=subjects.weights(number),
        weights_sequence=given.sequence,
        weights_event_id=given.event_id,
        merkle_root=given.merkle_root,
        first_sequence=seal.first_sequence,
        last_sequence=seal.last_sequence,
        tree_size=seal.tree_size,
        episodes=f"/v1/cycles/{number}/episodes",
    )


def _standing(standing: weights.Standing) -> MinerStanding:
    return MinerStanding(
        uid=standing.uid,
        hotkey=standing.hotkey,
        tallies={
            env: EnvironmentTally(
                completed=it.completed, successful=it.successful, forfeited=it.forfeited, abandoned=it.abandoned
            )
            for env, it in standing.tallies.items()
        },
        on_frontier=standing.on_frontier,
        points=standing.points,
        weight=standing.weight,
        moved=standing.moved,
        unverified=standing.unverified,
    )


def _uid(plan: CyclePlanned, name: str) -> Uid:
    for entry in plan.roster:
        if name in (entry.hotkey, str(entry.uid)):
            return entry.uid
    raise not_found("unknown-miner", f"cycle {plan.cycle} has no miner {name!r}")


def _conflict(kind: str, detail: str) -> Problem:
    return Problem(409, kind, "Not available", detail)
