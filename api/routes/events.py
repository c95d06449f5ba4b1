"""The events themselves, byte for byte: whoever has them can check everything, or run a mirror."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api.dependencies import All, Resources
from api.exports import ExportResponse
from api.problems import documented, not_found
from api.routes.cycles import CyclePath
from events import subjects
from events.export import MEDIA_TYPE
from events.mirror import encode, of_cycle

router = APIRouter(prefix="/v1", tags=["events"])

LIMIT_DEFAULT = 100_000
LIMIT_MAX = 1_000_000

AcceptEncoding = Annotated[str, Header(description="with `gzip` in it the answer is compressed")]
STREAM = {
    "description": "One event a line, each a CloudEvents document; the last line is a trailer with `count`,"
    " `first_sequence`, `last_sequence` and `root`. Without a trailer the answer is not whole.",
    "content": {MEDIA_TYPE: {}},
}


@router.get("/events", responses={200: STREAM, **documented(422, 503)}, response_class=Response)
async def events(
    resources: All,
    after: Annotated[int, Query(ge=0, lt=2**63, description="`last_sequence` of the trailer before")] = 0,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="how many at most")] = LIMIT_DEFAULT,
    accept_encoding: AcceptEncoding = "",
) -> Response:
    """The log past a sequence, as far as it goes now. With fewer events than `limit`, that was all."""
    is_whole = await resources.log.ask(lambda log: log.last_sequence()) >= after + limit
    log = resources.log.opened(resources.settings.export_stall_s)
    pieces = encode(log.read(after=after), after=after, limit=limit)
    return _export(resources, pieces, accept_encoding, is_for_good=is_whole)


@router.get(
    "/cycles/{cycle_id}/events", responses={200: STREAM, **documented(404, 422, 503)}, response_class=Response
)
async def events_of_cycle(cycle_id: CyclePath, resources: All, accept_encoding: AcceptEncoding = "") -> Response:
    """All about one cycle, as far as it is now, and the keys that sign: enough to audit it alone."""
    if await resources.log.ask(lambda log: log.last(subjects.plan(cycle_id))) is None:
        raise not_found("unknown-cycle", f"there is no cycle {cycle_id}")
    log = resources.log.opened(resources.settings.export_stall_s)
    return _export(resources, encode(log.read(subject=of_cycle(cycle_id))), accept_encoding)


def _export(
    resources: Resources, pieces: AsyncGenerator[bytes, None], accept_encoding: str, *, is_for_good: bool = False
) -> Response:
    return ExportResponse(
        pieces,
        slots=resources.log.exports,
        stall_s=resources.settings.export_stall_s,
        accept_encoding=accept_encoding,
        is_for_good=is_for_good,
    )
