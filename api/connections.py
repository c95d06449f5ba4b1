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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "kinitro.connection"

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what was not sent, and tells the other side by a reset."""


class BreakableProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it. Its requests can be hung up on."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self.transport}  # type: ignore[dict-item]  # for ours alone


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
    while (await receive())["type"] != "http.disconnect":
        pass
