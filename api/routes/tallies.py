"""How far a cycle is, miner by environment: where a live view begins, before it follows the stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Part
from api.as_of import Past
from api.dependencies import Models
from api.problems import documented, not_found
from api.routes.cycles import CyclePath
from projectors.checkpoint import seen_by_all
from projectors.cycles import queries as cycles
from projectors.cycles.tables import NAME as CYCLES
from projectors.episodes import queries
from projectors.episodes.tables import NAME as EPISODES

router = APIRouter(prefix="/v1/cycles", tags=["cycles"])


class Tally(Part):
    """How the episodes of one miner on one environment have ended so far. Where none has, there is no tally."""

    uid: int
    env: str
    completed: int
    successful: Annotated[int, Field(description="of the completed")]
    forfeited: int
    abandoned: int


class TalliesAnswer(BaseModel):
    """All of them, as of one place in the log: events after it are not counted, so follow the stream from there."""

    cycle_id: int
    sequence: int
    tallies: list[Tally]


@router.get("/{cycle_id}/tallies", responses=documented(404, 409, 422, 503))
async def tallies_of_cycle(cycle_id: CyclePath, models: Models, past: Past) -> TalliesAnswer:
    """How many episodes of each miner on each environment have ended, and how."""

    async def query(connection: AsyncConnection) -> tuple[int, list[queries.Tally]]:
        as_of = await past.sequence(connection, CYCLES, EPISODES)
        sequence = await seen_by_all(connection, (CYCLES, EPISODES)) if as_of is None else as_of
        if not await cycles.exists(connection, cycle_id, as_of=sequence):
            raise not_found("unknown-cycle", f"there is no cycle {cycle_id}")
        return sequence, await queries.tallies(connection, cycle_id, as_of=sequence)

    sequence, found = await models.ask(query)
    tallies = [Tally.model_validate(each) for each in found]
    return TalliesAnswer(cycle_id=cycle_id, sequence=sequence, tallies=tallies)
