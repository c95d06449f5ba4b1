"""The streams of a container, as pipes: aiodocker's messages, cut and joined to what a reader asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream


class AttachedPipe:
    """Holds at most one message (32 KiB) more than was asked for; aiodocker's queue stops the engine at 128 KiB."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._unread, self._unwritten = bytearray(), bytearray()

    def write(self, data: bytes) -> None:
        self._unwritten += data

    async def drain(self) -> None:
        """Writes what is to be written, and waits until the engine took it."""
        data, self._unwritten = bytes(self._unwritten), bytearray()
        if not data:
            return
        try:
            await self._stream.write_in(data)
        except (AssertionError, RuntimeError) as error:  # so aiodocker finds that the connection is gone
            raise ConnectionResetError("the engine closed the stream") from error

    async def read(self, bytes_max: int) -> bytes:
        """Nothing at the end."""
        if not self._unread:
            try:
                message = await self._stream.read_out()
            except aiohttp.ClientError:
                message = None  # an end without a good bye
            self._unread += message.data if message else b""
        taken = bytes(self._unread[:bytes_max])
        del self._unread[:bytes_max]
        return taken

    async def readexactly(self, size: int) -> bytes:
        """As `asyncio.StreamReader.readexactly`."""
        parts = bytearray()
        while len(parts) < size:
            part = await self.read(size - len(parts))
            if not part:
                raise asyncio.IncompleteReadError(bytes(parts), size)
            parts += part
        return bytes(parts)


@asynccontextmanager
async def attached(container: DockerContainer, *, errors: bool) -> AsyncIterator[AttachedPipe]:
    """Either what the container reads and answers, or its errors: apart, so that one does not wait for the other.

    Raises:
        DockerError: the engine refuses.
    """
    async with container.attach(stdin=not errors, stdout=not errors, stderr=errors) as stream:
        yield AttachedPipe(stream)
