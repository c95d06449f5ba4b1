"""Who is on the subnet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.as_of import Past
from api.dependencies import Models
from api.problems import documented
from projectors.episodes.tables import NAME as EPISODES
from projectors.miners import past as past_miners
from projectors.miners import queries
from projectors.miners.tables import NAME as MINERS

router = APIRouter(prefix="/v1/miners", tags=["miners"])


class Miner(BaseModel):
    """Who holds a uid, or held it last. Who was rejected is not evaluated until it commits anew."""

    uid: int
    hotkey: str
    endpoint: Annotated[str | None, Field(description="null where it was committed encrypted, or rejected")]
    last_evaluated: Annotated[datetime | None, Field(description="when an episode of this hotkey last had a result")]
    status: Literal["registered", "rejected", "departed"]
    repo: Annotated[str | None, Field(description="null where the newest commitment was rejected")]
    revision: str | None
    commitment_block: int
    last_cycle: int | None
    code: Annotated[str | None, Field(description="why the commitment was rejected; null where it was not")]
    detail: Annotated[str | None, Field(description="what is wrong with it, and what to do")]


class MinersAnswer(BaseModel):
    """One miner per uid, in their order."""

    miners: list[Miner]


@router.get("", responses=documented(409, 422, 503))
async def miners(models: Models, past: Past) -> MinersAnswer:
    """All miners, one per slot of the subnet."""

    async def query(connection: AsyncConnection) -> list[queries.Miner]:
        as_of = await past.sequence(connection, MINERS, EPISODES)
        return await (queries.miners(connection) if as_of is None else past_miners.miners(connection, as_of))

    return MinersAnswer(miners=[_miner(each) for each in await models.ask(query)])


def _miner(miner: queries.Miner) -> Miner:
    return Miner(
        uid=miner.uid,
        hotkey=miner.hotkey,
        endpoint=miner.endpoint,
        last_evaluated=miner.last_evaluated,
        status="registered" if miner.registered else "departed" if miner.code is None else "rejected",
        repo=miner.repo,
        revision=miner.revision,
        commitment_block=miner.commitment_block,
        last_cycle=miner.last_cycle,
        code=miner.code,
        detail=miner.detail,
    )
