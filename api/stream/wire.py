"""The way to one client: bytes go out at once, or wait in the memory of its connection, which can be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.types import Scope

from api.connections import DRAINED, EXTENSION


class Wire(Protocol):
    """What a reader writes to."""

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken, as far as this process holds them."""
        ...

    def write(self, data: bytes) -> None:
        """Never waits."""
        ...

    async def drained(self) -> None:
        """Returns when little is buffered, or nobody is there any more."""
        ...


class ConnectionWire:
    """Past the server's own `send`: one broadcast to a thousand clients must not wake a thousand tasks."""

    def __init__(self, scope: Scope) -> None:
        self._transport: asyncio.Transport = scope["extensions"][EXTENSION]
        self._drained: Callable[[], Awaitable[object]] = scope["extensions"][DRAINED]

    @property
    def buffered(self) -> int:
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        await self._drained()
