"""What every answer has, whatever it is about."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from multidict import CIMultiDict
from yarl import URL

from api.connections import HEAD_BYTES_MAX
from events.jetstream import JetStreamLog
from tests.controls import facts
from tests.fixtures.http import NOWHERE, Answer, Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

LATEST = "/v1/weights/latest"
CYCLE = "/v1/cycles/1"
FOR_GOOD = "public, max-age=86400, immutable"


@pytest.fixture
async def weighted(read_side: Written, api: Api) -> Api:
    await write(read_side.log, *facts.whole_cycle())
    await read_side.project()
    return api


@pytest.fixture
async def by_proxy(event_log: JetStreamLog, nats_server: NatsProcess) -> AsyncIterator[Api]:
    """Answers three requests a minute to whom a proxy on this machine names."""
    settings = replace(patient_settings(NOWHERE, nats_server.url), requests_per_minute=3)
    async with serving(settings) as api:
        yield api


async def ask(api: Api, method: str, path: str, **headers: str) -> Answer:
    """As `Api.get`, but nothing is decompressed or added."""
    url = f"{api.base_url}{path}"
    async with (
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
        session.request(method, url, headers=headers) as answer,
    ):
        return Answer(answer.status, CIMultiDict(answer.headers), await answer.read(), None)


@pytest.mark.parametrize("path", [LATEST, CYCLE, "/v1/status", "/v1/scores/1", "/openapi.json", "/asyncapi.json"])
async def test_each_encoding_has_an_etag_of_its_own(weighted: Api, path: str) -> None:
    plain = await ask(weighted, "GET", path)
    packed = await ask(weighted, "GET", path, **{"Accept-Encoding": "gzip"})
    digest = hashlib.sha256(plain.body).hexdigest()
    assert plain.headers["ETag"] == f'"{digest}"'
    if packed.headers.get("Content-Encoding") == "gzip":
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["ETag"] == f'"{digest}-gzip"'
        assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    else:
        assert len(plain.body) < 1024
        assert packed.headers["ETag"] == plain.headers["ETag"]


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("path", [LATEST, CYCLE, "/v1/cycles"])
async def test_what_the_client_has_is_not_sent_again(weighted: Api, path: str, encoding: str) -> None:
    first = await ask(weighted, "GET", path, **{"Accept-Encoding": encoding})
    tag = first.headers["ETag"]
    again = await ask(weighted, "GET", path, **{"Accept-Encoding": encoding, "If-None-Match": f'"other", {tag}'})
    assert (again.status, again.body) == (304, b"")
    kept = ("ETag", "Cache-Control", "Vary", "Link")
    assert {name: again.headers.get(name) for name in kept} == {name: first.headers.get(name) for name in kept}
    assert "Content-Encoding" not in again.headers


async def test_the_etag_of_one_encoding_is_not_that_of_the_other(weighted: Api) -> None:
    tag = (await ask(weighted, "GET", LATEST)).headers["ETag"]
    other = await ask(weighted, "GET", LATEST, **{"Accept-Encoding": "gzip", "If-None-Match": tag})
    assert other.status == 200


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (LATEST, "no-cache"),
        ("/v1/status", "no-cache"),
        (CYCLE, "no-cache"),
        ("/v1/cycles/1/episodes", FOR_GOOD),
        ("/v1/scores/1", FOR_GOOD),
        ("/v1/scores/latest", "no-cache"),
        ("/v1/scores/latest?at_seq=12", FOR_GOOD),
        ("/v1/cycles?at=2026-01-02T03:04:06Z", FOR_GOOD),
        ("/v1/cycles?at=2027-01-01T00:00:00Z", "no-cache"),
        ("/v1/weights/1/explain/0", FOR_GOOD),
        ("/v1/events?limit=5", FOR_GOOD),
        ("/v1/events", "no-store"),
        ("/v1/cycles/99", "no-store"),
        ("/nothing", "no-store"),
    ],
)
async def test_only_what_nothing_can_change_is_kept_for_good(weighted: Api, path: str, kept: str) -> None:
    assert (await weighted.get(path)).headers["Cache-Control"] == kept


async def test_the_episodes_of_a_running_cycle_are_not_kept(api: Api, read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle()[:-2])
    await read_side.project()
    assert (await api.get("/v1/cycles/1/episodes")).headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", [LATEST, CYCLE, "/v1/cycles/1/episodes", "/docs", "/nothing", "/v1/cycles/0"])
async def test_head_is_get_without_its_body(weighted: Api, path: str) -> None:
    whole, head = await ask(weighted, "GET", path), await ask(weighted, "HEAD", path)
    for answer in (whole, head):
        answer.headers.pop("Date")
        answer.headers.pop("X-Request-Id")
    assert (head.status, head.body) == (whole.status, b"")
    if whole.status == 200:
        assert head.headers == whole.headers


async def test_the_head_of_a_stream_ends(weighted: Api) -> None:
    head = await ask(weighted, "HEAD", "/v1/events")
    assert (head.status, head.headers["Content-Type"], head.body) == (200, "application/x-ndjson", b"")
    assert (await weighted.get("/v1/events")).status == 200


@pytest.mark.parametrize("path", [LATEST, "/v1/cycles/99", "/v1/cycles/0", "/nothing", "/livez"])
async def test_pages_of_any_origin_may_read(weighted: Api, path: str) -> None:
    answer = await weighted.get(path, Origin="https://dashboard.example")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"ETag", "Link", "RateLimit", "X-Request-Id"} <= {*exposed.split(", ")}


async def test_a_preflight_is_granted(api: Api) -> None:
    asked = {"Origin": "https://dashboard.example", "Access-Control-Request-Method": "GET"}
    answer = await ask(api, "OPTIONS", LATEST, **asked, **{"Access-Control-Request-Headers": "if-none-match"})
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == answer.headers["Access-Control-Allow-Headers"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("path", [LATEST, "/nothing", "/v1/cycles/0", "/v1/events"])
async def test_a_sane_request_id_is_taken_over(weighted: Api, path: str) -> None:
    answer = await weighted.get(path, **{"X-Request-Id": "job-7.retry_2"})
    assert answer.headers["X-Request-Id"] == "job-7.retry_2"
    if answer.status >= 400:
        assert answer.json["request_id"] == "job-7.retry_2"


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "é"])
async def test_another_request_id_is_replaced(api: Api, given: str) -> None:
    answer = await ask(api, "GET", "/nothing", **{"X-Request-Id": given})
    assert len(answer.headers["X-Request-Id"]) == 32


async def test_who_asks_too_much_is_told_when_to_come_back(by_proxy: Api) -> None:
    answers = [await by_proxy.get("/livez", **{"X-Forwarded-For": "203.0.113.7"}) for _ in range(4)]
    assert [it.status for it in answers] == [200, 200, 200, 429]
    assert [it.headers["RateLimit-Policy"] for it in answers] == ['"client";q=3;w=60'] * 4
    assert answers[0].headers["RateLimit"] == '"client";r=2;t=20'
    assert answers[3].json["type"] == "urn:kinitro:problem:too-many-requests"
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
    assert (await by_proxy.get("/livez", **{"X-Forwarded-For": "203.0.113.8"})).status == 200
    assert "RateLimit" not in (await by_proxy.get("/livez")).headers


async def test_a_handshake_counts_as_a_request(by_proxy: Api) -> None:
    client = {"X-Forwarded-For": "203.0.113.7"}
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(_shaken(by_proxy, "/v1/events/ws", client))
    refused = await _shaken(by_proxy, "/v1/events/ws", client)
    assert refused.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nretry-after: " in refused.lower()
    assert b"urn:kinitro:problem:too-many-requests" in refused


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [("/v1/events/ws?cycle=x", b"422", b"invalid-request"), ("/v1/nothing", b"404", b"unknown-path")],
)
async def test_a_refused_handshake_is_a_problem_with_a_request_id(
    api: Api, path: str, status: bytes, problem: bytes
) -> None:
    answer = await _shaken(api, path, {"X-Request-Id": "mine"})
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"x-request-id: mine" in head.lower()
    assert b'"request_id":"mine"' in body
    assert b"urn:kinitro:problem:" + problem in body


async def test_an_accepted_handshake_has_the_request_id(api: Api) -> None:
    answer = await _shaken(api, "/v1/events/ws", {"X-Request-Id": "mine"})
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"x-request-id: mine" in answer.lower()


async def test_what_is_no_http_is_a_problem(api: Api) -> None:
    answer = await _sent(api, b"NONSENSE\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:kinitro:problem:bad-request" in answer
    assert b"x-request-id: " in answer


async def test_a_head_without_an_end_is_refused(api: Api) -> None:
    start = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: "
    answer = await _sent(api, start + b"x" * (HEAD_BYTES_MAX + 1 - len(start)))
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"urn:kinitro:problem:head-too-large" in answer


async def _shaken(api: Api, path: str, headers: dict[str, str]) -> bytes:
    """What comes back when a WebSocket is asked for: the head, and a body where it is refused."""
    host, port = api.base_url.removeprefix("http://").split(":")
    key = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    fields = {"Host": host, **key, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write("\r\n".join([f"GET {path} HTTP/1.1", *map(": ".join, fields.items()), "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        return head if head.startswith(b"HTTP/1.1 101") else head + await reader.read()
    finally:
        writer.close()


async def _sent(api: Api, request: bytes) -> bytes:
    """What comes back until the server closes."""
    host, port = api.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "links"),
    [
        ("/v1/cycles?limit=2", {"first": "/v1/cycles?limit=2", "next": "/v1/cycles?limit=2&cursor=2"}),
        ("/v1/cycles?cursor=2&limit=2", {"first": "/v1/cycles?limit=2"}),
        (
            "/v1/cycles/1/episodes?limit=1&uid=0",
            {
                "first": "/v1/cycles/1/episodes?limit=1&uid=0",
                "next": "/v1/cycles/1/episodes?limit=1&uid=0&cursor=1.0.metaworld.push-v3.0",
            },
        ),
        (
            "/v1/cycles/1/compare/0/1?limit=1&offset=1",
            {"first": "/v1/cycles/1/compare/0/1?limit=1", "prev": "/v1/cycles/1/compare/0/1?limit=1"},
        ),
    ],
)
async def test_lists_link_to_their_pages(api: Api, read_side: Written, path: str, links: dict[str, str]) -> None:
    for number in (1, 2, 3):
        await write(read_side.log, *facts.whole_cycle(number))
    await read_side.project()
    async with api.session.get(f"{api.base_url}{path}") as answer:
        found = {name: str(URL(link["url"]).relative()) for name, link in answer.links.items()}
    assert {name: target for name, target in found.items() if name in links or name != "next"} == links


async def test_following_next_comes_to_every_entry_once(api: Api, read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle())
    await read_side.project()
    whole = (await api.get("/v1/cycles/1/episodes")).json["episodes"]
    found, url = [], f"{api.base_url}/v1/cycles/1/episodes?limit=3"
    while url:
        async with api.session.get(url) as answer:
            found += (await answer.json())["episodes"]
            following = answer.links.get("next")
            url = str(following["url"]) if following else ""
    assert found == whole


async def test_who_waits_is_answered_once_there_are_other_weights(weighted: Api, read_side: Written) -> None:
    tag = (await weighted.get(LATEST)).headers["ETag"]
    waiting = [asyncio.create_task(weighted.get(f"{LATEST}?wait=60", **{"If-None-Match": tag})) for _ in range(50)]
    await write(read_side.log, *facts.whole_cycle(2))
    await read_side.project()
    answers = await asyncio.gather(*waiting)
    assert {(it.status, it.json["cycle_id"]) for it in answers} == {(200, 2)}


async def test_who_has_waited_enough_is_told_that_nothing_is_new(weighted: Api) -> None:
    tag = (await weighted.get(LATEST)).headers["ETag"]
    assert (await weighted.get(f"{LATEST}?wait=1", **{"If-None-Match": tag})).status == 304


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": '"other"'}])
async def test_who_has_other_weights_does_not_wait(weighted: Api, headers: dict[str, str]) -> None:
    async with asyncio.timeout(30):
        assert (await weighted.get(f"{LATEST}?wait=60", **headers)).status == 200


@pytest.mark.parametrize("wait", ["-1", "61", "x"])
async def test_nobody_waits_longer_than_a_minute(weighted: Api, wait: str) -> None:
    assert await weighted.problem(f"{LATEST}?wait={wait}") == (422, "invalid-request")


async def test_the_end_of_the_server_ends_all_waits(
    read_side: Written, database_url: str, nats_server: NatsProcess
) -> None:
    await write(read_side.log, *facts.whole_cycle())
    await read_side.project()
    async with serving(patient_settings(database_url, nats_server.url)) as api:
        tag = (await api.get(LATEST)).headers["ETag"]
        waiting = asyncio.create_task(api.get(f"{LATEST}?wait=60", **{"If-None-Match": tag}))
        assert (await api.get("/livez")).status == 200
    assert (await eventually_done(waiting)).status == 304


async def eventually_done(task: asyncio.Task[Answer]) -> Answer:
    async with asyncio.timeout(30):
        return await task
