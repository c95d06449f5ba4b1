"""Stands between one process and the log's server, and shuts at the very frame that a test is waiting for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

CAUGHT_S = 120.0
LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Point:
    """A moment in the life of a process: just before, or just after, it has sent a certain frame."""

    frame: str
    """A regular expression that is found in it."""
    sent: bool = False
    """Whether the frame still gets through; its answer does not."""
    skip: int = 0
    """How many such frames go through first."""

    def __str__(self) -> str:
        return f"{'after' if self.sent else 'before'} {self.frame}"


@dataclass(frozen=True)
class Caught:
    """What a gate has shut at."""

    point: Point
    subject: str
    """Of the frame."""


class Gate:
    """Forwards frames both ways until a point is met. `url` is where the process connects instead of to the server.

    While it is shut the process hears nothing and what it sends waits. `release` lets it all through; `catch` is for
    when the process is dead: what has waited is dropped with its connections, and the next process may connect.
    """

    def __init__(self, server_url: str) -> None:
        address = urlsplit(server_url)
        self._target = (str(address.hostname), int(address.port or 0))
        self._open = asyncio.Event()
        self._open.set()
        self._points: list[Point] = []
        self._passed: dict[Point, int] = {}
        self._met: asyncio.Future[Caught] | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def catch(self, points: Sequence[Point]) -> None:
        """Opens, to shut at the first of these that comes; where a frame is several of them, at the first named."""
        await self._drop()
        self.release(points)

    async def caught(self) -> Caught:
        """Returns once it has shut."""
        assert self._met is not None
        try:
            async with asyncio.timeout(CAUGHT_S):
                return await asyncio.shield(self._met)
        except TimeoutError:
            raise AssertionError(f"none of {[str(it) for it in self._points]} in {CAUGHT_S} s") from None

    def release(self, points: Sequence[Point] = ()) -> None:
        """Lets through what has waited and what comes, up to the first of these."""
        self._points, self._passed = list(points), {}
        self._met = asyncio.get_running_loop().create_future()
        self._open.set()

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LINE_BYTES_MAX)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._drop()

    async def _drop(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(client, to_client))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        writers = [to_client]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                server, to_server = await asyncio.open_connection(*self._target)
                writers.append(to_server)
                await self._both_ways(client, to_client, server, to_server)
        finally:
            for writer in writers:
                writer.close()

    async def _both_ways(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """Until one of the two hangs up."""
        ways = {
            asyncio.create_task(self._requests(client, to_server)),
            asyncio.create_task(self._answers(server, to_client)),
        }
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                await way
        finally:
            for way in ways:
                way.cancel()

    async def _requests(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        async for frame in _frames(client):
            await self._open.wait()
            point = self._point_of(frame)
            if point is not None and not point.sent:
                self._shut(point, frame)
                await self._open.wait()
            to_server.write(frame)
            await to_server.drain()
            if point is not None and point.sent:
                self._shut(point, frame)

    async def _answers(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await server.read(65_536):
            await self._open.wait()
            to_client.write(data)
            await to_client.drain()

    def _point_of(self, frame: bytes) -> Point | None:
        for point in self._points:
            if re.search(point.frame.encode(), frame):
                self._passed[point] = passed = self._passed.get(point, 0) + 1
                if passed > point.skip:
                    return point
        return None

    def _shut(self, point: Point, frame: bytes) -> None:
        assert self._met is not None
        if not self._met.done():
            self._open.clear()
            self._met.set_result(Caught(point, frame.split(maxsplit=2)[1].decode()))


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What a client of NATS sends, frame by frame, each with its payload."""
    with suppress(asyncio.IncompleteReadError):
        while True:
            line = await reader.readuntil(b"\r\n")
            publishes = line[:5].upper().startswith((b"PUB ", b"HPUB "))
            yield line + (await reader.readexactly(int(line.split()[-1]) + 2) if publishes else b"")
