"""The log as it grows. Whoever comes back says what it saw last, and misses nothing."""

from __future__ import annotations

import re
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Header, Query, Response, WebSocket
from starlette.requests import HTTPConnection

from api.problems import Problem, documented
from api.stream.framing import ServerSentEvents
from api.stream.responses import MEDIA_TYPE, EventStream, talk
from api.stream.service import Streams
from api.stream.wanted import WEIGHTS_TYPES, Wanted
from api.stream.weights import WeightsAsEvents
from events.codec import TYPES
from events.ids import TOKEN, CycleId, EnvId, Hotkey, Uid, split_env_id

router = APIRouter(prefix="/v1", tags=["stream"])

EVENTS = ServerSentEvents()
WEIGHTS = WeightsAsEvents()

SEQUENCE_MAX = 2**63 - 1
SEQUENCE = re.compile(r"[0-9]{1,19}")
UID_MAX = 65_535


async def _streams(connection: HTTPConnection) -> Streams:
    return cast("Streams", connection.app.state.streams)


async def _wanted(
    cycle: Annotated[int | None, Query(ge=1, lt=2**63, description="events of this cycle")] = None,
    miner: Annotated[
        str | None,
        Query(
            pattern=rf"^{TOKEN.pattern}$",
            description="events about one miner: digits are a uid, whoever held it; all else is a hotkey",
        ),
    ] = None,
    environment: Annotated[str | None, Query(max_length=129, description="as in metaworld/push-v3")] = None,
    event_type: Annotated[
        list[str] | None, Query(alias="type", max_length=64, description="one or several of `events/codec.py`")
    ] = None,
) -> Wanted:
    is_uid = miner is not None and miner.isdecimal()
    return Wanted(
        cycle=None if cycle is None else CycleId(cycle),
        uid=_uid(cast("str", miner)) if is_uid else None,
        hotkey=None if miner is None or is_uid else Hotkey(miner),
        environment=None if environment is None else _environment(environment),
        types=_types(event_type or []),
    )


async def _resume_after(
    from_seq: Annotated[
        int | None,
        Query(ge=0, le=SEQUENCE_MAX, description="the first sequence to send; 1 is the beginning of the log"),
    ] = None,
    last_event_id: Annotated[
        str,
        Header(description="the last sequence that was received; goes before `from_seq`, as browsers repeat the URL"),
    ] = "",
) -> int | None:
    """After which sequence to begin; None is the present."""
    if last_event_id:
        if not SEQUENCE.fullmatch(last_event_id) or int(last_event_id) > SEQUENCE_MAX:
            raise _invalid(f"Last-Event-ID: {last_event_id[:40]!r} is not the id of one of our events, a sequence")
        return int(last_event_id)
    return None if from_seq is None else max(0, from_seq - 1)


InUse = Annotated[Streams, Depends(_streams)]
Which = Annotated[Wanted, Depends(_wanted)]
After = Annotated[int | None, Depends(_resume_after)]

STREAM: dict[str, Any] = {
    "description": "Server-sent events without an end. `id` is the sequence to resume after, `event` the type, `data`"
    " the event's exact bytes. `kinitro.stream.ended` says in a problem document why this copy ends a stream.",
    "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
}


@router.get("/events/stream", responses={200: STREAM, **documented(409, 422, 503)}, response_class=Response)
async def events(streams: InUse, wanted: Which, after: After) -> Response:
    """Events as they are appended; with `Last-Event-ID` or `from_seq`, first all since then."""
    return EventStream(streams, EVENTS, wanted, await streams.after(after))


@router.get("/weights/stream", responses={200: STREAM, **documented(409, 422, 503)}, response_class=Response)
async def weights(streams: InUse, after: After) -> Response:
    """The weights in force, as `/v1/weights/latest` has them, and each new ones; or all since `Last-Event-ID`."""
    position = await streams.before_latest_weights() if after is None else after
    return EventStream(streams, WEIGHTS, Wanted(types=WEIGHTS_TYPES), await streams.after(position))


@router.websocket("/events/ws")
async def events_over_websocket(websocket: WebSocket, streams: InUse, wanted: Which, after: After) -> None:
    """As `/v1/events/stream`, in messages `{"id": 7, "event": {...}}`; one without an event moves the id."""
    position = await streams.after(after)
    streams.admit()
    await websocket.accept()
    await talk(streams, wanted, position, websocket.scope, websocket.receive, websocket.send)


def _uid(text: str) -> Uid:
    if not text.isascii() or int(text) > UID_MAX:
        raise _invalid(f"miner: {text!r} is no uid, which goes from 0 to {UID_MAX}")
    return Uid(int(text))


def _environment(text: str) -> EnvId:
    try:
        split_env_id(EnvId(text))
    except ValueError as error:
        raise _invalid(f"environment: {error}") from error
    return EnvId(text)


def _types(names: list[str]) -> frozenset[str]:
    if unknown := [name for name in names if name not in TYPES]:
        raise _invalid(f"type: there is no {unknown[0][:80]!r}; known are {', '.join(sorted(TYPES))}")
    return frozenset(names)


def _invalid(detail: str) -> Problem:
    return Problem(422, "invalid-request", "Invalid request", detail)
