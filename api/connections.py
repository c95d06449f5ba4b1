"""Breaking off an answer: ASGI has no word for it, so the server hands its connection down as an extension.

To return in the middle would not do: uvicorn calls that a mistake of ours, and waits for ever for the reader of what
it has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

from starlette.types import Receive, Scope
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION = "kinitro.connection"
DRAINED = "kinitro.drained"
"""A function; what it returns is to be awaited until little waits to be sent, or the connection is closed."""

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what was not sent, and tells the other side by a reset."""


class BreakableProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it. Its requests can be hung up on."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        ours = {EXTENSION: self.transport, DRAINED: self.flow.drain}
        self.scope["extensions"] = ours  # type: ignore[typeddict-item]  # for ours alone


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
