"""How fast `GET /v1/weights/latest` is, against a bare ASGI application that returns the same bytes.

    python -m tests.bench.weights_endpoint

Both are served by the same uvicorn configuration, each in a process of its own, and asked over loopback by the same
client, in turns. Wanted: at least 0.5 of the bare application's rate.
"""

from __future__ import annotations

import asyncio
import base64
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import uvloop
from starlette.types import Receive, Scope, Send

from api.server import listening, run_api, serve
from api.settings import ApiSettings
from events.connection import connect
from events.ids import Uid
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from events.weights import WeightsU16
from projectors.database import create_database, open_engine
from projectors.operations import init
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import project, write

PATH = "/v1/weights/latest"
MINERS = 64
CONNECTIONS = 16
ROUNDS = 7
ROUND_S = 1.0


class Client(asyncio.Protocol):
    """Asks again as soon as an answer is complete. Knows only as much HTTP as both servers speak."""

    REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    def __init__(self, answer_bytes: int) -> None:
        self.answers = 0
        self._answer_bytes, self._received = answer_bytes, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self.REQUEST)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received == self._answer_bytes:
            self.answers, self._received = self.answers + 1, 0
            self._transport.write(self.REQUEST)
        assert self._received < self._answer_bytes, "an answer is longer than the first one was"


async def rate(port: int, answer_bytes: int) -> float:
    """Answers per second on all connections together."""
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Client(answer_bytes), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    started = time.perf_counter()
    await asyncio.sleep(ROUND_S)
    answers = sum(client.answers for _, client in opened)
    taken = time.perf_counter() - started
    for transport, _ in opened:
        transport.abort()
    return answers / taken


async def answer_length(port: int) -> int:
    """How long one whole answer is, head and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(Client.REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    body = await reader.readexactly(length)
    assert head.startswith(b"HTTP/1.1 200"), (head, body)
    writer.close()
    return len(head) + length


@asynccontextmanager
async def server(*arguments: str) -> AsyncIterator[int]:
    """This program as a server process; yields its port once it answers with 200."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.weights_endpoint", str(port), *arguments
    )
    try:
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                try:
                    async with session.get(f"http://127.0.0.1:{port}{PATH}") as response:
                        return response.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(answers)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def bare(port: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"etag", b'"' + b"0" * 64 + b'"'),
        (b"cache-control", b"no-cache"),
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with listening("127.0.0.1", port) as listener:
        await serve(app, listener, asyncio.Event())


async def prepare(nats_url: str, database_url: str) -> None:
    await create_database(database_url)
    await init(database_url)
    engine = open_engine(database_url, role="bench", command_timeout_s=10)
    async with await connect(nats_url, "bench") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        uids = tuple(Uid(uid) for uid in range(MINERS))
        u16 = WeightsU16(uids=uids, values=(1,) * MINERS)
        standings = tuple(facts.standing(uid, weight="0.015625") for uid in uids)
        computed = facts.weights_computed().model_copy(update={"standings": standings, "weights_u16": u16})
        await write(log, facts.planned(), computed)
        await project(log, engine, database_url)
    await engine.dispose()


async def compare(nats_url: str, database_url: str) -> None:
    await prepare(nats_url, database_url)
    async with server(nats_url, database_url) as ours, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{ours}{PATH}") as response:
            body = await response.read()
        async with server(base64.b64encode(body).decode()) as other:
            length = await answer_length(ours)
            assert length == await answer_length(other), "the bare application answers something else"
            pairs = [(await rate(ours, length), await rate(other, length)) for _ in range(ROUNDS)]
    ours_rate, bare_rate = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{PATH} {ours_rate:,.0f} answers/s   bare ASGI {bare_rate:,.0f} answers/s   ({len(body)} bytes)")
    print(f"weights endpoint: {statistics.median(a / b for a, b in pairs):.2f} of the bare application (wanted 0.5)")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kinitro-bench-") as folder:
        nats, postgres = NatsProcess(Path(folder)), RunningPostgres(Path(folder))
        try:
            nats.start()
            asyncio.run(nats.embedded.wait_ready())
            postgres.start()
            asyncio.run(postgres.server.wait_ready())
            uvloop.run(compare(nats.url, postgres.server.url))
        finally:
            nats.kill()
            postgres.stop()


if __name__ == "__main__":
    match sys.argv[1:]:
        case [port, nats_url, database_url]:
            settings = ApiSettings(database_url=database_url, nats_url=nats_url)
            uvloop.run(run_api(settings, "127.0.0.1", int(port), asyncio.Event()))
        case [port, encoded]:
            uvloop.run(bare(int(port), base64.b64decode(encoded)))
        case _:
            main()
