"""How well each miner did in a cycle."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Part
from api.as_of import Past
from api.dependencies import Models
from api.http.caching import for_good
from api.problems import documented, not_found
from events.ids import CycleId
from projectors.cycles import queries as cycles
from projectors.cycles.tables import NAME as CYCLES
from projectors.weights import queries
from projectors.weights.tables import NAME as WEIGHTS

router = APIRouter(prefix="/v1/scores", tags=["scores"])


class EpisodeCounts(Part):
    """How the planned episodes of one miner on one environment ended. Forfeited ones count as failures."""

    completed: int
    successful: Annotated[int, Field(description="of the completed")]
    forfeited: int
    abandoned: int


class Standing(BaseModel):
    """One miner's result. Points and weight are exact decimals."""

    uid: int
    hotkey: str
    points: str
    weight: str
    moved: Annotated[bool, Field(description="it no longer held its uid when the cycle ended: it has no weight")]
    unverified: Annotated[
        bool, Field(description="it failed a spot check, and none has passed since: it has no weight")
    ]
    episodes: Annotated[dict[str, EpisodeCounts], Field(description="environment -> counts")]


class Withheld(BaseModel):
    """Why the cycle gave no weights."""

    reason: str
    detail: str


class ScoresAnswer(BaseModel):
    """The result of one cycle. `created_at` is the time of the event that holds it."""

    cycle_id: int
    block: int
    created_at: datetime
    scores: Annotated[
        dict[str, dict[str, float | None]],
        Field(description="uid -> environment -> success rate in [0, 1]; null where no episode could be counted"),
    ]
    pareto_frontier: Annotated[list[int], Field(description="uids that nobody dominates")]
    epsilons: Annotated[dict[str, str], Field(description="environment -> what counts as no difference")]
    standings: list[Standing]
    merkle_root: str | None
    withheld: Withheld | None

    @classmethod
    def of(cls, scores: queries.Scores) -> ScoresAnswer:
        return cls(
            cycle_id=scores.cycle,
            block=scores.block,
            created_at=scores.created_at,
            scores={
                str(each.uid): {env: tally.rate for env, tally in each.tallies.items()} for each in scores.standings
            },
            pareto_frontier=[each.uid for each in scores.standings if each.on_frontier],
            epsilons={str(env): epsilon for env, epsilon in sorted(scores.epsilons.items())},
            standings=[_standing(each) for each in scores.standings],
            merkle_root=scores.merkle_root,
            withheld=None if scores.reason is None else Withheld(reason=scores.reason, detail=scores.detail or ""),
        )


@router.get("/latest", responses=documented(404, 409, 422, 503))
async def latest_scores(models: Models, past: Past) -> ScoresAnswer:
    """The scores of the newest cycle that has any."""

    async def query(connection: AsyncConnection) -> queries.Scores | None:
        return await queries.latest_scores(connection, as_of=await past.sequence(connection, WEIGHTS))

    found = await models.ask(query)
    if found is None:
        raise not_found("no-scores", "no cycle has been scored yet")
    return ScoresAnswer.of(found)


@router.get("/{cycle_id}", responses=documented(404, 409, 422, 503))
async def scores_of_cycle(
    cycle_id: Annotated[CycleId, Path(ge=1, lt=2**63)], models: Models, past: Past
) -> ScoresAnswer:
    """The scores of one cycle, also where its weights were withheld."""

    async def query(connection: AsyncConnection) -> tuple[queries.Scores | None, bool]:
        as_of = await past.sequence(connection, WEIGHTS, CYCLES)
        found = await queries.scores_of_cycle(connection, cycle_id, as_of=as_of)
        return found, found is not None or await cycles.exists(connection, cycle_id, as_of=as_of)

    found, is_planned = await models.ask(query)
    if found is not None and found.standings:
        for_good(past.response)
        return ScoresAnswer.of(found)
    if found is not None:
        raise not_found("no-scores", f"cycle {cycle_id} has no scores: {found.detail}")
    if is_planned:
        raise not_found("no-scores", f"cycle {cycle_id} has not been scored yet")
    raise not_found("unknown-cycle", f"there is no cycle {cycle_id}")


def _standing(standing: queries.Standing) -> Standing:
    return Standing(
        uid=standing.uid,
        hotkey=standing.hotkey,
        points=standing.points,
        weight=standing.weight,
        moved=standing.moved,
        unverified=standing.unverified,
        episodes={env: EpisodeCounts.model_validate(tally) for env, tally in standing.tallies.items()},
    )
