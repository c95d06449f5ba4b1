"""The weights by which miners are paid."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from api.as_of import Past
from api.dependencies import All, Models
from api.http.waiting import Wait, latest_other_than_known
from api.latest import NO_WEIGHTS
from api.problems import documented, not_found
from projectors.weights import queries
from projectors.weights.tables import NAME

router = APIRouter(prefix="/v1/weights", tags=["weights"])


class WeightsU16(BaseModel):
    """The weights as the chain takes them, adding up to 65535."""

    uids: list[int]
    values: list[int]


class WeightsMetadata(BaseModel):
    """Where the weights come from, and their exact digits."""

    weights_exact: Annotated[dict[str, str], Field(description="uid -> the exact decimal that the event holds")]
    merkle_root: Annotated[str, Field(description="of the sealed cycle that the weights follow from, hex")]
    event_id: str
    sequence: Annotated[int, Field(description="of the event in the log")]


class WeightsAnswer(BaseModel):
    """The weights of one cycle. `block` and `block_number` are that of its plan; the times are the event's."""

    cycle_id: int
    block: int
    block_number: int
    created_at: datetime
    timestamp: datetime
    weights: Annotated[dict[str, float], Field(description="uid -> weight")]
    weights_u16: WeightsU16
    metadata: WeightsMetadata

    @classmethod
    def of(cls, weights: queries.Weights) -> WeightsAnswer:
        exact = {str(uid): weight for uid, weight in weights.weights.items()}
        return cls(
            cycle_id=weights.cycle,
            block=weights.block,
            block_number=weights.block,
            created_at=weights.created_at,
            timestamp=weights.created_at,
            weights={uid: float(weight) for uid, weight in exact.items()},
            weights_u16=WeightsU16(uids=weights.u16_uids, values=weights.u16_values),
            metadata=WeightsMetadata(
                weights_exact=exact,
                merkle_root=weights.merkle_root,
                event_id=weights.event_id,
                sequence=weights.sequence,
            ),
        )


@router.get("/latest", response_model=WeightsAnswer, responses=documented(404, 409, 422, 503))
async def latest_weights(
    request: Request, resources: All, models: Models, past: Past, wait_s: Wait = 0
) -> Response | WeightsAnswer:
    """The weights in force. The ETag is strong: send it as `If-None-Match` and get a 304 while nothing is new.

    With `wait` as well, the 304 comes only when the time is over; other weights are sent as soon as there are any.
    """
    if not past.is_past:
        return await latest_other_than_known(resources, request, wait_s)

    async def query(connection: AsyncConnection) -> queries.Weights | None:
        return await queries.latest_weights(connection, as_of=await past.sequence(connection, NAME))

    found = await models.ask(query)
    if found is None:
        raise not_found("no-weights", NO_WEIGHTS)
    return WeightsAnswer.of(found)


@router.get("/{block}", responses=documented(404, 409, 422, 503))
async def weights_of_block(block: Annotated[int, Path(ge=0, lt=2**63)], models: Models, past: Past) -> WeightsAnswer:
    """The weights of the cycle that was planned at this block."""

    async def query(connection: AsyncConnection) -> queries.Weights | None:
        return await queries.weights_of_block(connection, block, as_of=await past.sequence(connection, NAME))

    found = await models.ask(query)
    if found is None:
        raise not_found("no-weights", f"no cycle that was planned at block {block} has given weights")
    return WeightsAnswer.of(found)
