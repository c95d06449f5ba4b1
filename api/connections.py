"""Breaking off an answer: ASGI has no word for it, so the server hands its connection down as an extension.

To return in the middle would not do: uvicorn calls that a mistake of ours, and waits for ever for the reader of what
it has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import structlog
from starlette.types import Receive, Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from api.http import cors, request_ids
from api.problems import Problem

EXTENSION = "kinitro.connection"
DRAINED = "kinitro.drained"
"""A function; what it returns is to be awaited until little waits to be sent, or the connection is closed."""

HEAD_BYTES_MAX = 64 * 1024

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what was not sent, and tells the other side by a reset."""


class BreakableProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it. Its requests can be hung up on, and what it refuses itself is a problem, too."""

    _is_in_head = False
    _head_bytes = 0
    """Of a head that is not complete. The parser itself would keep any number of them."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._refuse(_head_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        ours = {EXTENSION: self.transport, DRAINED: self.flow.drain}
        self.scope["extensions"] = ours  # type: ignore[typeddict-item]  # for ours alone

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What the server says itself, where there is no request that an application could answer."""
        self._refuse(Problem(400, "bad-request", "Bad request", msg))

    def _refuse(self, problem: Problem) -> None:
        structlog.contextvars.clear_contextvars()
        request_id = request_ids.bind(())
        answer = problem.response("")
        head = [STATUS_LINE[answer.status_code], b"x-request-id: ", request_id, b"\r\nconnection: close\r\n"]
        for name, value in (*answer.raw_headers, *cors.HEADERS):
            head += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*head, b"\r\n", bytes(answer.body)]))
        self.transport.close()


class OpenWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket as uvicorn speaks it, whose connection can be written to and hung up on."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:  # the application's task exists, and has not begun
            ours = {EXTENSION: self.transport, DRAINED: self.writable.wait}
            self.scope["extensions"].update(ours)  # type: ignore[arg-type]  # for ours alone

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # by a refusal; uvicorn would call it a mistake of ours


def _head_too_large() -> Problem:
    detail = f"the request line and headers have more than {HEAD_BYTES_MAX} bytes"
    return Problem(431, "head-too-large", "Request header fields too large", detail)


async def hang_up(scope: Scope, receive: Receive, *, patience_s: float) -> None:
    """Closes the connection in the middle of the answer, which the client sees, and returns when it is closed.

    For `patience_s` seconds what was sent before can still be taken; 0 drops it.
    """
    transport: asyncio.Transport = scope["extensions"][EXTENSION]
    if patience_s:
        transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await disconnected(receive)
                return
    with contextlib.suppress(OSError):  # closed meanwhile
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    transport.abort()
    await disconnected(receive)


async def disconnected(receive: Receive) -> None:
    """Returns when the connection is closed, by whichever side."""
    while not (await receive())["type"].endswith(".disconnect"):
        pass
