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
from projectors.verifications import queries as verifications
from projectors.verifications.tables import NAME as VERIFICATIONS

router = APIRouter(prefix="/v1/miners", tags=["miners"])


class SpotChecks(BaseModel):
    """Whether the hotkey serves what it has committed, as its latest conclusive check found."""

    standing: Annotated[
        Literal["passed", "failed", "never"], Field(description="never: not yet checked conclusively")
    ]
    cycle_id: Annotated[int | None, Field(description="in which it was found; null where never")] = None
    since_cycle: Annotated[int | None, Field(description="from which on every conclusive check found it")] = None
    reason: Annotated[str | None, Field(description="why it failed; null where it did not")] = None
    detail: Annotated[str | None, Field(description="what was expected and found, and what to do")] = None

    @classmethod
    def of(cls, standing: verifications.Standing | None) -> SpotChecks:
        if standing is None:
            return cls(standing="never")
        latest = standing.latest
        return cls(
            standing="failed" if latest.outcome == "failed" else "passed",
            cycle_id=latest.cycle,
            since_cycle=standing.since_cycle,
            reason=latest.reason,
            detail=latest.detail,
        )


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
    verification: SpotChecks


class MinersAnswer(BaseModel):
    """One miner per uid, in their order."""

    miners: list[Miner]


@router.get("", responses=documented(409, 422, 503))
async def miners(models: Models, past: Past) -> MinersAnswer:
    """All miners, one per slot of the subnet."""

    async def query(connection: AsyncConnection) -> list[Miner]:
        as_of = await past.sequence(connection, MINERS, EPISODES, VERIFICATIONS)
        found = await (queries.miners(connection) if as_of is None else past_miners.miners(connection, as_of))
        standings = await verifications.standings(connection, [each.hotkey for each in found], as_of=as_of)
        return [_miner(each, standings.get(each.hotkey)) for each in found]

    return MinersAnswer(miners=await models.ask(query))


def _miner(miner: queries.Miner, standing: verifications.Standing | None) -> Miner:
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
        verification=SpotChecks.of(standing),
    )
