"""HTTP servers that answer with whatever bytes a test wants, at the pace it wants."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import orjson

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def says(message: bytes) -> Answer:
    """Writes these bytes and keeps the connection open."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(message)

    return answer


def says_and_closes(message: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(message)
        await writer.drain()
        writer.close()

    return answer


async def never_answers(_writer: asyncio.StreamWriter) -> None:
    pass


async def drips(writer: asyncio.StreamWriter) -> None:
    """A valid answer, one byte at a time, for ever in time for the next byte."""
    for byte in http(b" " * 1000 + GOOD_ACTION):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def floods(writer: asyncio.StreamWriter) -> None:
    """A chunked body without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()


GOOD_ACTION = orjson.dumps({"action": {"continuous": {"ee_twist": [0.5, 0, 0, 0, 0, 0], "gripper": [0]}}})
accepts = says(http(b'{"status":"ok"}'))
acts = says(http(GOOD_ACTION))


@dataclass
class RawServer:
    """What a test learns about the calls."""

    url: str = ""
    close_listener: Callable[[], None] = lambda: None
    """No new connections from then on."""
    connections: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    """Path, headers with lower-case names, body."""


@contextlib.asynccontextmanager
async def raw_server(
    *,
    reset: Answer = accepts,
    act: Answer = acts,
    health: Answer | None = None,
    greeting: Answer | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[RawServer]:
    """`greeting` is said as soon as a connection is made, before any request is read."""
    seen = RawServer()
    tasks: set[asyncio.Task[None]] = set()
    answers = {"reset": reset, "health": health or says(http(b"", "404 Not Found"))}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if greeting is not None:
                await greeting(writer)
            while not writer.is_closing():
                path, headers, body = await _request(reader)
                seen.requests.append((path, headers, body))
                await answers.get(path.rpartition("/")[2], act)(writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, port, ssl=tls)
    seen.close_listener = server.close
    seen.url = f"{'https' if tls else 'http'}://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def blackhole(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The URL of an address from which nothing comes back: its queue of connections is full and stays so."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://{host}:{listener.getsockname()[1]}"


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return head[0].split(" ")[1], headers, body
