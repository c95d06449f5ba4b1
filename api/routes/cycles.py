"""Evaluation cycles and the episodes in them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Part
from api.as_of import Past
from api.dependencies import Models
from api.http.caching import for_good
from api.http.pages import Paged
from api.problems import Problem, documented, not_found
from api.routes.episodes import Episode
from events.envelope import RecordedEvent
from events.episodes import EpisodeOutcome
from events.ids import TOKEN, CycleId, EnvId, EpisodeKey, Uid
from projectors.checkpoint import seen_by_all
from projectors.cycles import past as past_cycles
from projectors.cycles import queries
from projectors.cycles.tables import NAME as CYCLES
from projectors.episodes import queries as episodes
from projectors.episodes.tables import NAME as EPISODES

router = APIRouter(prefix="/v1/cycles", tags=["cycles"])

CyclePath = Annotated[CycleId, Path(ge=1, lt=2**63)]
ENVIRONMENT = rf"^{TOKEN.pattern}/{TOKEN.pattern}$"
PageSize = Annotated[int, Query(ge=1, le=500, description="how many at most")]


class Progress(Part):
    """How many episodes have ended so far, and how."""

    completed: int
    successful: Annotated[int, Field(description="of the completed")]
    forfeited: int
    abandoned: int
    attempts_failed: Annotated[int, Field(description="attempts in which we failed, not the policy")]


class Cycle(BaseModel):
    """One cycle in brief."""

    id: int
    status: Literal["planned", "running", "sealed", "abandoned"]
    block: int
    planned_at: datetime
    ended_at: datetime | None
    episodes_planned: int
    progress: Progress


class CyclesPage(BaseModel):
    """Cycles, newest first."""

    cycles: list[Cycle]
    next_cursor: Annotated[str | None, Field(description="for the next page; null at the end")]


class Entropy(BaseModel):
    """The block whose hash went into the seeds."""

    block: int
    block_hash: str


class CycleAnswer(Cycle):
    """One cycle with all that the log says about it."""

    environments: dict[str, Progress]
    plan: Annotated[dict[str, Any], Field(description="the fields of `kinitro.cycle.planned`")]
    seed: Entropy | None
    seal: Annotated[
        dict[str, Any] | None, Field(description="the fields of `kinitro.cycle.sealed` or `kinitro.cycle.abandoned`")
    ]


class EpisodesPage(BaseModel):
    """Episodes that have ended, ordered by uid, environment and index."""

    episodes: list[Episode]
    next_cursor: Annotated[str | None, Field(description="for the next page; null at the end")]


@router.get("", responses=documented(409, 422, 503))
async def cycles(
    models: Models,
    past: Past,
    pages: Paged,
    limit: PageSize = 50,
    cursor: Annotated[int | None, Query(ge=1, lt=2**63, description="`next_cursor` of the page before")] = None,
) -> CyclesPage:
    """All cycles, newest first."""
    before = None if cursor is None else CycleId(cursor)

    async def query(connection: AsyncConnection) -> list[queries.CycleSummary]:
        as_of = await past.sequence(connection, CYCLES, EPISODES)
        if as_of is None:
            return await queries.newest_cycles(connection, before=before, limit=limit + 1)
        return await past_cycles.newest_cycles(connection, as_of, before=before, limit=limit + 1)

    found = await models.ask(query)
    page = found[:limit]
    following = str(page[-1].cycle) if len(found) > limit else None
    pages.link("cursor", following)
    return CyclesPage(cycles=[_brief(each) for each in page], next_cursor=following)


@router.get("/{cycle_id}", responses=documented(404, 409, 422, 503))
async def cycle(cycle_id: CyclePath, models: Models, past: Past) -> CycleAnswer:
    """The plan, the progress and the end of one cycle."""

    async def query(connection: AsyncConnection) -> queries.CycleDetail | None:
        as_of = await past.sequence(connection, CYCLES, EPISODES)
        if as_of is None:
            return await queries.cycle(connection, cycle_id)
        return await past_cycles.cycle(connection, as_of, cycle_id)

    found = await models.ask(query)
    if found is None:
        raise not_found("unknown-cycle", f"there is no cycle {cycle_id}")
    seed = None
    if found.seed_block is not None and found.seed_block_hash is not None:
        seed = Entropy(block=found.seed_block, block_hash=found.seed_block_hash)
    return CycleAnswer(
        **dict(_brief(found.summary)),
        environments={env: Progress.model_validate(counts) for env, counts in found.environments.items()},
        plan=found.plan,
        seed=seed,
        seal=found.seal,
    )


@router.get("/{cycle_id}/episodes", responses=documented(404, 409, 422, 503))
async def episodes_of_cycle(
    cycle_id: CyclePath,
    models: Models,
    past: Past,
    pages: Paged,
    uid: Annotated[Uid | None, Query(ge=0, le=65535, description="only of this miner")] = None,
    env: Annotated[EnvId | None, Query(pattern=ENVIRONMENT, description="only on this environment")] = None,
    limit: PageSize = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")] = None,
) -> EpisodesPage:
    """The episodes of a cycle that have ended. In a running cycle, later ones may sort before the cursor."""
    after = _after(cycle_id, cursor)

    async def query(connection: AsyncConnection) -> list[RecordedEvent[EpisodeOutcome]]:
        as_of = await past.sequence(connection, CYCLES, EPISODES)
        await _keep_if_sealed(connection, cycle_id, pages.response)
        found = await episodes.of_cycle(
            connection, cycle_id, uid=uid, env=env, after=after, as_of=as_of, limit=limit + 1
        )
        if not found:
            await _check_known(connection, cycle_id, uid, env, as_of)
        return found

    found = await models.ask(query)
    page = found[:limit]
    following = page[-1].event.key.id if len(found) > limit else None
    pages.link("cursor", following)
    return EpisodesPage(episodes=[Episode.of(each) for each in page], next_cursor=following)


def _after(cycle: CycleId, cursor: str | None) -> EpisodeKey | None:
    if cursor is None:
        return None
    try:
        key = EpisodeKey.parse(cursor)
    except ValueError as error:
        raise Problem(422, "invalid-request", "Invalid request", f"cursor: {error}") from error
    if key.cycle != cycle or key.uid > 65535 or key.index >= 2**31:
        raise Problem(422, "invalid-request", "Invalid request", f"cursor {cursor!r} is none of cycle {cycle}")
    return key


async def _keep_if_sealed(connection: AsyncConnection, number: CycleId, response: Response) -> None:
    """To be asked before the episodes are: then all of them are among those that are found."""
    sealed_at = await queries.sealed_at(connection, number)
    if sealed_at is not None and await seen_by_all(connection, [EPISODES]) >= sealed_at:
        for_good(response)


async def _check_known(
    connection: AsyncConnection, number: CycleId, uid: Uid | None, env: EnvId | None, as_of: int | None
) -> None:
    found = await queries.cycle(connection, number)
    if found is None or not await queries.exists(connection, number, as_of=as_of):
        raise not_found("unknown-cycle", f"there is no cycle {number}")
    if uid is not None and all(entry["uid"] != uid for entry in found.plan["roster"]):
        raise not_found("unknown-miner", f"cycle {number} has no miner with uid {uid}")
    if env is not None and env not in found.plan["environments"]:
        raise not_found("unknown-environment", f"cycle {number} has no environment {env!r}")


def _brief(summary: queries.CycleSummary) -> Cycle:
    return Cycle(
        id=summary.cycle,
        status=summary.status,
        block=summary.block,
        planned_at=summary.planned_at,
        ended_at=summary.ended_at,
        episodes_planned=summary.episodes_planned,
        progress=Progress.model_validate(summary.progress),
    )
