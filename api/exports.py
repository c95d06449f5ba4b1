"""An export as the answer to a request: it goes no faster than its reader, and breaks off rather than lie.

Whoever reads it knows by the trailer that it is whole. So when the log goes away in the middle, or the reader stands
still, the connection is closed without one.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.connections import disconnected, hang_up
from api.http import caching
from api.http.encodings import wants_gzip
from api.problems import Problem
from events.export import MEDIA_TYPE, NotExportable
from events.log import LogError

GZIP = 16 + zlib.MAX_WBITS

logger = structlog.get_logger(__name__)


class ExportResponse(StreamingResponse):
    """Streams `pieces`; a reader that takes one of them not within `stall_s` seconds is left.

    `slots` bounds how many go on at once: with none free the answer is a problem.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        slots: asyncio.Semaphore,
        stall_s: float,
        accept_encoding: str,
        is_for_good: bool = False,
    ) -> None:
        kept = caching.FOR_GOOD if is_for_good else caching.NEVER
        headers = {"Vary": "Accept-Encoding", "Cache-Control": kept}
        if wants_gzip(accept_encoding):
            pieces, headers["Content-Encoding"] = compressed(pieces), "gzip"
        super().__init__(pieces, headers=headers, media_type=MEDIA_TYPE)
        self._pieces, self._slots, self._stall_s = pieces, slots, stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._slots.locked():
            await _busy().response(scope["path"])(scope, receive, send)
            return
        async with self._slots:
            broken = await self._stream_until_left(receive, send)
        if broken is not None:
            logger.warning("an export was broken off", reason=broken.reason)
            await hang_up(scope, receive, patience_s=self._stall_s if broken.is_read else 0)

    async def _stream_until_left(self, receive: Receive, send: Send) -> _Broken | None:
        """Returns once all was sent, or the reader has gone; otherwise why it ends before that.

        Starlette's own way cancels again and again whatever waits, also what still has to tell the log of its end.
        """
        streaming = asyncio.create_task(self._stream(send))
        leaving = asyncio.create_task(disconnected(receive))
        try:
            await asyncio.wait({streaming, leaving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # handed on, uvicorn would log it as a mistake of ours
            return _Broken("the server stops", is_read=False)
        finally:
            leaving.cancel()
            streaming.cancel()
            await asyncio.wait({streaming, leaving})
        return None if streaming.cancelled() else streaming.result()

    async def _stream(self, send: Send) -> _Broken | None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(self._stall_s):
                await send(message)

        try:
            async with aclosing(self._pieces):
                await self.stream_response(send_in_time)
        except (LogError, NotExportable) as error:
            return _Broken(f"{type(error).__name__}: {error}", is_read=True)
        except TimeoutError:
            return _Broken(f"its reader took nothing for {self._stall_s:g} s", is_read=False)
        return None


class _Broken(NamedTuple):
    """Why an export ends without a trailer."""

    reason: str
    is_read: bool
    """Whether somebody reads what was sent before."""


async def compressed(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same as gzip. Each piece can be read as soon as it has arrived."""
    gzip = zlib.compressobj(wbits=GZIP)

    def press(piece: bytes) -> bytes:
        return gzip.compress(piece) + gzip.flush(zlib.Z_SYNC_FLUSH)

    async with aclosing(pieces):
        async for piece in pieces:
            yield await asyncio.to_thread(press, piece)  # 10 ms for a piece, in which others are answered
    yield gzip.flush()


def _busy() -> Problem:
    detail = "as many exports as go at once are under way; try again"
    return Problem(503, "too-many-exports", "Too many exports", detail, headers={"Retry-After": "10"})
