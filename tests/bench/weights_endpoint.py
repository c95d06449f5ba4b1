"""How fast `GET /v1/weights/latest` is, against a bare ASGI application that returns the same bytes.

    python -m tests.bench.weights_endpoint

Both are served by the same uvicorn configuration, each in a process of its own, and asked by wrk in turns, for the
body and for a 304, as by a client behind a proxy: so ours counts it against a limit, which loopback does not have.
The bare one sends the same headers. Wanted: at least 0.7 of its rate.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from starlette.types import Receive, Scope, Send

from api.server import listening, serve
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
THREADS = 1
ROUNDS = 7
ROUND_S = 2
CLIENT: Final = "X-Forwarded-For: 203.0.113.7"
PROXIES: Final = "127.0.0.1"


async def rate(port: int, *headers: str) -> float:
    """Answers per second on all connections together. wrk fails on other statuses than 2xx and 3xx, and so do we."""
    options = [f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{ROUND_S}s"]
    for header in (CLIENT, *headers):
        options += ["-H", header]
    process = await asyncio.create_subprocess_exec(
        "wrk", *options, f"http://127.0.0.1:{port}{PATH}", stdout=asyncio.subprocess.PIPE
    )
    told = (await process.communicate())[0].decode()
    assert process.returncode == 0, told
    assert "Non-2xx" not in told, told
    assert "Socket errors" not in told, told
    return float(re.findall(r"Requests/sec:\s+([0-9.]+)", told)[0])


@asynccontextmanager
async def server(*command: str) -> AsyncIterator[int]:
    """A server process, told its port by `--port`; yields that once it answers with 200."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, *command, "--port", str(port))
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


async def bare(port: int, answers: dict[str, Any]) -> None:
    """The same statuses, headers and bytes as ours, by the `If-None-Match`; nothing is looked at or made."""
    sent = {known: (it["status"], _raw(it["headers"]), it["body"].encode()) for known, it in answers.items()}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        known = any(name == b"if-none-match" for name, _ in scope["headers"])
        status, headers, body = sent["known" if known else "new"]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with listening("127.0.0.1", port) as listener:
        await serve(app, listener, asyncio.Event(), trusted_proxies=PROXIES)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def recorded(session: aiohttp.ClientSession, port: int, **headers: str) -> dict[str, Any]:
    """What ours answers, for the bare application to say."""
    headers[CLIENT.partition(":")[0]] = CLIENT.partition(":")[2].strip()
    async with session.get(f"http://127.0.0.1:{port}{PATH}", headers=headers) as response:
        told = {name.lower(): value for name, value in response.headers.items() if name.lower() != "date"}
        return {"status": response.status, "headers": told, "body": await response.text()}


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
    plain = {"skip_auto_headers": ["Accept-Encoding"]}
    ours_command = ("kinitro.py", "api", "--nats-url", nats_url, "--database-url", database_url)
    options = ("--host", "127.0.0.1", "--trusted-proxies", PROXIES, "--requests-per-minute", str(10**9))
    async with server(*ours_command, *options) as ours, aiohttp.ClientSession(**plain) as session:  # type: ignore[arg-type]
        new = await recorded(session, ours)
        tag = new["headers"]["etag"]
        known = await recorded(session, ours, **{"If-None-Match": tag})
        assert (new["status"], known["status"]) == (200, 304), (new, known)
        told = json.dumps({"new": new, "known": known})
        async with server("-m", "tests.bench.weights_endpoint", told) as other:
            for name, headers in (("200", ()), ("304", (f"If-None-Match: {tag}",))):
                pairs = [(await rate(ours, *headers), await rate(other, *headers)) for _ in range(ROUNDS)]
                report(name, pairs, len(new["body"]))


def report(name: str, pairs: list[tuple[float, float]], body_bytes: int) -> None:
    best_ours, best_bare = (max(column) for column in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    print(f"{PATH} {name}: {best_ours:,.0f} answers/s   bare ASGI {best_bare:,.0f} answers/s   ({body_bytes} bytes)")
    print(f"  best against best {best_ours / best_bare:.2f}; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}")
    print(f"weights endpoint, {name}: {statistics.median(ratios):.2f} of the bare application (wanted 0.7)")


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
        case [answers, "--port", port]:
            uvloop.run(bare(int(port), json.loads(answers)))
        case _:
            main()
