"""Server-sent events of which some may be lost. A reader that takes nothing for a while is hung up on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.connections import hang_up

MEDIA_TYPE = "text/event-stream"
STALL_S = 20.0
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one asks proxies not to wait for more."""


class LiveStream(StreamingResponse):
    """Sends what comes, made by `event` and `comment`, until it ends or the reader is gone."""

    media_type = MEDIA_TYPE

    def __init__(self, pieces: AsyncIterator[bytes], *, stall_s: float = STALL_S) -> None:
        super().__init__(pieces, headers=HEADERS)
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stalled = False

        async def patient(message: Message) -> None:
            nonlocal stalled
            try:
                async with asyncio.timeout(self._stall_s):
                    await send(message)
            except TimeoutError:
                stalled = True
                raise

        try:
            await super().__call__(scope, receive, patient)
        except TimeoutError:
            if not stalled:
                raise
            await hang_up(scope, receive, patience_s=0)


def event(kind: str, data: bytes) -> bytes:
    """One event. `data` is one line, such as JSON. It has no id: nobody can come back to it."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def comment(text: str) -> bytes:
    """What no client shows: it keeps the connection alive."""
    return b": %b\n\n" % text.encode()
