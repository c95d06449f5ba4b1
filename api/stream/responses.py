"""A stream as the answer to a request, or as a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from api.connections import disconnected, hang_up
from api.http.front import ASKED
from api.problems import Problem
from api.stream.ends import Stopping, StreamEnd, TooSlow
from api.stream.framing import Framing, WebSocketMessages
from api.stream.hub import Audience
from api.stream.reader import Reader
from api.stream.service import Streams
from api.stream.wanted import Wanted
from api.stream.wire import ConnectionWire

MEDIA_TYPE = "text/event-stream"
LAST_WORD_S = 1.0
"""How long the end of a stream may take to be sent."""

MESSAGES = WebSocketMessages()
"""One for all: who have the same framing are written to as one."""

logger = structlog.get_logger(__name__)


class EventStream(Response):
    """Server-sent events past `position`, for as long as the client listens."""

    media_type = MEDIA_TYPE

    def __init__(self, streams: Streams, framing: Framing, wanted: Wanted, position: int) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._streams, self._position = streams, position
        self._audience = Audience(framing, wanted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._streams.admit()
        except Problem as problem:
            return await problem.response(scope["path"])(scope, receive, send)
        reader = Reader(
            self._streams.hub, ConnectionWire(scope), self._audience, self._position, self._streams.open_log
        )
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # The head goes out with the first piece; what follows is written past `send`.
        await send({"type": "http.response.body", "body": b"", "more_body": ASKED not in scope})
        if ASKED in scope:
            return None
        end = await _run(reader, receive)
        if end is None:
            return None
        if not await _said(reader, end, scope):
            return await hang_up(scope, receive, patience_s=0)
        return await send({"type": "http.response.body", "body": b"", "more_body": False})


async def talk(streams: Streams, wanted: Wanted, position: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Messages past `position` over a WebSocket that was accepted. What its client says is not listened to."""
    reader = Reader(streams.hub, ConnectionWire(scope), Audience(MESSAGES, wanted), position, streams.open_log)
    end = await _run(reader, receive)
    if end is None:
        return
    if not await _said(reader, end, scope):
        await hang_up(scope, receive, patience_s=0)
        return
    with contextlib.suppress(WebSocketDisconnect):  # it has left, or the server has said so already
        await send({"type": "websocket.close", "code": end.close_code, "reason": end.title})


async def _run(reader: Reader, receive: Receive) -> StreamEnd | None:
    try:
        return await reader.run(disconnected(receive))
    except asyncio.CancelledError:  # handed on, uvicorn would log it as a mistake of ours
        return Stopping("the server stops")


async def _said(reader: Reader, end: StreamEnd, scope: Scope) -> bool:
    """Says why it ends. False if nobody listens."""
    if isinstance(end, TooSlow):
        logger.info("a reader of the stream was cut off", position=reader.position, reason=end.detail)
        return False
    framing = reader.audience.framing
    reader.wire.write(framing.packed(framing.ended(end.problem().document(scope["path"]))))
    try:
        async with asyncio.timeout(LAST_WORD_S):
            await reader.wire.drained()
    except TimeoutError:
        return False
    return True
