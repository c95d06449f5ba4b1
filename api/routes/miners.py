"""Who is on the subnet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.dependencies import Models
from api.problems import documented
from projectors.miners import queries

router = APIRouter(prefix="/v1/miners", tags=["miners"])


class Miner(BaseModel):
    """Who holds a uid, or held it last."""

    uid: int
    hotkey: str
    endpoint: Annotated[str | None, Field(description="null where it was committed encrypted")]
    last_evaluated: Annotated[datetime | None, Field(description="when an episode of this hotkey last had a result")]
    status: Literal["registered", "departed"]
    repo: str
    revision: str
    commitment_block: int
    last_cycle: int | None


class MinersAnswer(BaseModel):
    """One miner per uid, in their order."""

    miners: list[Miner]


@router.get("", responses=documented(503))
async def miners(models: Models) -> MinersAnswer:
    """All miners, one per slot of the subnet."""
    return MinersAnswer(miners=[_miner(each) for each in await models.ask(queries.miners)])


def _miner(miner: queries.Miner) -> Miner:
    return Miner(
        uid=miner.uid,
        hotkey=miner.hotkey,
        endpoint=miner.endpoint,
        last_evaluated=miner.last_evaluated,
        status="registered" if miner.registered else "departed",
        repo=miner.repo,
        revision=miner.revision,
        commitment_block=miner.commitment_block,
        last_cycle=miner.last_cycle,
    )
