"""The site that we ship, in a real nginx, before real copies of the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import uvloop

from events.connection import connect
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.controls import facts
from tests.deploy.nginx import CLIENT, Nginx, nginx
from tests.eventually import eventually
from tests.fixtures.api_process import ApiProcess, served
from tests.fixtures.http import Api, Written
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write

STREAM = "/v1/events/stream?from_seq=1"
WEIGHTS = "/v1/weights/latest"
EVENTS = 12
"""Of `facts.whole_cycle`."""


@pytest.fixture
def copies(nats_alone: NatsProcess) -> Iterator[tuple[ApiProcess, ApiProcess]]:
    with ExitStack() as stack:
        yield stack.enter_context(served(nats_alone)), stack.enter_context(served(nats_alone))


@asynccontextmanager
async def proxied(directory: Path, copies: tuple[int, int]) -> AsyncIterator[tuple[Nginx, Api]]:
    """nginx, and a client of the API behind it."""
    async with nginx(directory, copies) as proxy:
        timeout = aiohttp.ClientTimeout(total=60)
        connector = aiohttp.TCPConnector(ssl=proxy.trust)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            yield proxy, Api(proxy.base_url, session)


@asynccontextmanager
async def written(server: NatsProcess) -> AsyncIterator[JetStreamLog]:
    async with await connect(server.url, "test") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        await write(log, *facts.whole_cycle(1))
        yield log


async def both_answer(copies: tuple[ApiProcess, ApiProcess]) -> None:
    async with aiohttp.ClientSession() as session:
        for copy in copies:
            api = Api(copy.base_url, session)
            await eventually(api.is_up)
            await eventually(api.exports)


async def ids(answer: aiohttp.ClientResponse, count: int) -> list[int]:
    """Of the next events of a stream."""
    found: list[int] = []
    event_id = 0
    while len(found) < count:
        line = await answer.content.readline()
        assert line, found
        if line.startswith(b"id: "):
            event_id = int(line[4:])
        elif line.startswith(b"data: "):
            found.append(event_id)
    return found


def test_a_stream_goes_on_through_a_reload(
    tmp_path: Path, nats_alone: NatsProcess, copies: tuple[ApiProcess, ApiProcess]
) -> None:
    async def main() -> None:
        async with written(nats_alone) as log:
            await both_answer(copies)
            async with (
                proxied(tmp_path, (copies[0].port, copies[1].port)) as (proxy, api),
                api.session.get(f"{api.base_url}{STREAM}") as before,
            ):
                assert await ids(before, EVENTS) == list(range(1, EVENTS + 1))
                await proxy.reload()
                async with api.session.get(f"{api.base_url}{STREAM}") as after:
                    assert await ids(after, EVENTS) == list(range(1, EVENTS + 1))
                    for cycle in (2, 3):  # each event is to come although nothing follows it that fills a buffer
                        await write(log, facts.planned(cycle))
                        for answer in (before, after):
                            assert await ids(answer, 1) == [EVENTS + cycle - 1]

    uvloop.run(main())


def test_websockets_go_through(
    tmp_path: Path, nats_alone: NatsProcess, copies: tuple[ApiProcess, ApiProcess]
) -> None:
    async def main() -> None:
        async with written(nats_alone) as log:
            await both_answer(copies)
            async with (
                proxied(tmp_path, (copies[0].port, copies[1].port)) as (_, api),
                api.session.ws_connect(f"{api.base_url}/v1/events/ws?from_seq=12") as websocket,
            ):
                await websocket.receive_str(timeout=30)
                await write(log, facts.planned(2))
                messages = [await websocket.receive_json(timeout=30) for _ in range(2)]
                assert [each["id"] for each in messages if "event" in each][-1:] == [EVENTS + 1]

    uvloop.run(main())


def test_the_other_copy_answers_for_one_that_is_gone(
    tmp_path: Path, nats_alone: NatsProcess, copies: tuple[ApiProcess, ApiProcess]
) -> None:
    async def main() -> None:
        async with written(nats_alone):
            await both_answer(copies)
            async with proxied(tmp_path, (copies[0].port, copies[1].port)) as (_, api):
                assert {(await api.get("/v1/events")).status for _ in range(4)} == {200}
                copies[0].stop(cleanly=False)
                assert [(await api.get("/v1/events")).status for _ in range(20)] == [200] * 20

    uvloop.run(main())


async def test_a_request_that_waits_is_answered_when_there_are_others(
    tmp_path: Path, api: Api, read_side: Written
) -> None:
    await write(read_side.log, *facts.whole_cycle(1))
    await read_side.project()
    async with proxied(tmp_path, (port_of(api), free_port())) as (_, through):
        etag = (await through.get(WEIGHTS)).headers["ETag"]
        assert (await through.get(f"{WEIGHTS}?wait=1", **{"If-None-Match": etag})).status == 304
        waiting = asyncio.create_task(through.get(f"{WEIGHTS}?wait=60", **{"If-None-Match": etag}))
        await write(read_side.log, *facts.whole_cycle(2))
        await read_side.project()
        answer = await waiting
        assert (answer.status, answer.json["cycle_id"]) == (200, 2)


async def test_answers_are_those_of_the_api(tmp_path: Path, api: Api, read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle(1))
    await read_side.project()
    async with proxied(tmp_path, (port_of(api), free_port())) as (_, through):
        for path in (WEIGHTS, "/v1/miners", "/v1/events", "/v1/cycles/1/events"):
            for coding in ("gzip", "identity"):
                direct, proxied_ = [await each.get(path, **{"Accept-Encoding": coding}) for each in (api, through)]
                assert (direct.status, direct.body) == (proxied_.status, proxied_.body)
                for name in ("ETag", "Content-Encoding", "Cache-Control", "Vary"):
                    assert direct.headers.get(name) == proxied_.headers.get(name), (path, coding, name)


async def test_requests_are_counted_for_the_client_that_the_proxy_sees(tmp_path: Path, api: Api) -> None:
    async def is_counted(**headers: str) -> bool:
        return "RateLimit" in (await through.get("/v1/environments", **headers)).headers

    async with proxied(tmp_path, (port_of(api), free_port())) as (_, through):
        assert await is_counted(**{CLIENT: "203.0.113.5"})
        assert not await is_counted(), "who asks from this machine has no limit"
        assert not await is_counted(**{"X-Forwarded-For": "203.0.113.7"}), "a client is not who it says it is"


async def test_what_is_only_for_the_operator_stays_inside(tmp_path: Path, api: Api) -> None:
    async with proxied(tmp_path, (port_of(api), free_port())) as (_, through):
        assert (await api.get("/metrics")).status == 200
        assert (await through.get("/metrics")).status == 404


async def test_plain_http_leads_to_tls(tmp_path: Path, api: Api) -> None:
    async with (
        proxied(tmp_path, (port_of(api), free_port())) as (proxy, through),
        through.session.get(f"{proxy.plain_url}/v1/status?x=1", allow_redirects=False) as answer,
    ):
        assert answer.status == 301
        assert answer.headers["Location"] == "https://localhost/v1/status?x=1"


def port_of(api: Api) -> int:
    return int(api.base_url.rpartition(":")[2])
