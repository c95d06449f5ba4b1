"""The live stream over real HTTP and WebSockets: what is sent, what is refused, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import aiohttp
import pytest

from events.jetstream import JetStreamLog
from tests.contracts.event_log import everything
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.http import NOWHERE, Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

PATH = "/v1/events/stream"


class Frame(NamedTuple):
    """One server-sent event, or a frame that only moves the id."""

    id: str | None
    event: str | None
    data: bytes | None


class Listening:
    """A client of a stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        fields: dict[str, bytes] = {}
        while line := await self.answer.content.readline():
            name, _, value = line.removesuffix(b"\n").partition(b": ")
            if not name:
                one, kind = (fields[each].decode() if each in fields else None for each in ("id", "event"))
                return Frame(one, kind, fields.get("data"))
            fields[name.decode()] = value
        return None

    async def events(self, count: int) -> list[Frame]:
        """The next ones that are events."""
        found: list[Frame] = []
        while len(found) < count:
            frame = await self.frame()
            assert frame is not None, found
            if frame.data is not None:
                found.append(frame)
        return found


@asynccontextmanager
async def listening(api: Api, path: str = PATH, **headers: str) -> AsyncIterator[Listening]:
    async with api.session.get(f"{api.base_url}{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Listening(answer)


async def test_history_comes_first_and_then_what_is_appended(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    async with listening(from_log, f"{PATH}?from_seq=1") as stream:
        found = await stream.events(12)
        await write(event_log, *facts.whole_cycle(2))
        found += await stream.events(12)
    stored = await everything(event_log)
    assert [(int(it.id or 0), it.data) for it in found] == [(it.sequence, it.body) for it in stored]
    assert [it.event for it in found] == [json.loads(it.body)["type"] for it in stored]


async def test_without_a_position_only_what_is_new_is_sent(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    await settled(from_log, 12)
    async with listening(from_log) as stream:
        assert await stream.frame() == Frame("12", None, None)
        await write(event_log, facts.planned(2))
        assert (await stream.events(1))[0].id == "13"


async def settled(api: Api, end: int) -> None:
    """Returns once the stream has seen this much of the log."""
    async with listening(api, f"{PATH}?from_seq={end}") as stream:
        await stream.events(1)


async def test_who_comes_back_says_what_it_saw_last(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    async with listening(from_log, f"{PATH}?from_seq=2", **{"Last-Event-ID": "9"}) as stream:
        assert [it.id for it in await stream.events(3)] == ["10", "11", "12"]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("cycle=2", lambda it: it["data"].get("cycle") == 2),
        ("miner=1", lambda it: it["data"].get("uid") == 1),
        (f"miner={facts.hotkey(1)}", lambda it: it["data"].get("hotkey") == facts.hotkey(1)),
        (f"environment={facts.PUSH}", lambda it: it["data"].get("env") == facts.PUSH),
        (
            "type=kinitro.cycle.sealed&type=kinitro.weights.computed&cycle=2",
            lambda it: (
                it["type"] in ("kinitro.cycle.sealed", "kinitro.weights.computed") and it["data"]["cycle"] == 2
            ),
        ),
    ],
)
async def test_filters(from_log: Api, event_log: JetStreamLog, query: str, wanted: Callable[[Any], bool]) -> None:
    await write(event_log, facts.discovered(0), facts.discovered(1), *facts.whole_cycle(1))
    async with listening(from_log, f"{PATH}?from_seq=1&{query}") as stream:
        await write(event_log, *facts.whole_cycle(2))
        stored = [it for it in await everything(event_log) if wanted(json.loads(it.body))]
        assert stored
        found = await stream.events(len(stored))
    assert [(it.id, it.data) for it in found] == [(str(it.sequence), it.body) for it in stored]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (f"{PATH}?from_seq=-1", (422, "invalid-request")),
        (f"{PATH}?cycle=0", (422, "invalid-request")),
        (f"{PATH}?miner=65536", (422, "invalid-request")),
        (f"{PATH}?miner=a.b", (422, "invalid-request")),
        (f"{PATH}?environment=push", (422, "invalid-request")),
        (f"{PATH}?type=kinitro.cycle.seeled", (422, "invalid-request")),
        (f"{PATH}?from_seq=14", (409, "beyond-the-log")),
        ("/v1/weights/stream?from_seq=14", (409, "beyond-the-log")),
    ],
)
async def test_what_cannot_be_streamed_is_a_problem(
    from_log: Api, event_log: JetStreamLog, path: str, problem: tuple[int, str]
) -> None:
    await write(event_log, *facts.whole_cycle(1))
    assert await from_log.problem(path) == problem


async def test_an_id_that_is_no_sequence_is_refused(from_log: Api) -> None:
    for value in ("x", "-1", "9" * 30, "9" * 5000):
        assert (await from_log.get(PATH, **{"Last-Event-ID": value})).status == 422


async def test_no_more_readers_than_are_admitted(nats_server: NatsProcess, event_log: JetStreamLog) -> None:
    settings = replace(patient_settings(NOWHERE, nats_server.url), streams_max=2)
    async with serving(settings) as api:
        async with listening(api), listening(api):
            answer = await api.get(PATH)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
            assert answer.json["type"] == "urn:kinitro:problem:too-many-readers"

        async def admitted() -> bool:
            async with api.session.get(f"{api.base_url}{PATH}") as answer:
                return answer.status == 200

        await eventually(admitted)


async def test_a_server_that_stops_ends_its_streams_and_says_so(
    nats_server: NatsProcess, event_log: JetStreamLog
) -> None:
    async with aiohttp.ClientSession() as session:
        async with serving(patient_settings(NOWHERE, nats_server.url)) as api:
            answer = await session.get(f"{api.base_url}{PATH}")
            ws = await session.ws_connect(f"{api.base_url}/v1/events/ws")
            await ws.receive_json()
        stream = Listening(answer)
        (last,) = await stream.events(1)
        assert last.event == "kinitro.stream.ended"
        assert json.loads(last.data or b"")["type"] == "urn:kinitro:problem:server-stopping"
        assert await stream.frame() is None
        assert (await ws.receive_json())["problem"]["type"] == "urn:kinitro:problem:server-stopping"
        assert (await ws.receive()).data == 1012


async def test_a_reader_that_stands_still_does_not_keep_the_server_from_ending(
    nats_server: NatsProcess, event_log: JetStreamLog
) -> None:
    await write(event_log, *large_cycle(1, miners=50, environments=8, episodes=50))
    async with serving(patient_settings(NOWHERE, nats_server.url)) as api:
        host, port = api.base_url.removeprefix("http://").split(":")
        reader = socket.create_connection((host, int(port)))
        reader.sendall(f"GET {PATH}?from_seq=1 HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        await asyncio.to_thread(reader.recv, 100)
    reader.close()


async def test_over_a_websocket_it_is_the_same(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    async with from_log.session.ws_connect(f"{from_log.base_url}/v1/events/ws?from_seq=5&cycle=1") as ws:
        await write(event_log, *facts.whole_cycle(2))
        texts = [(await ws.receive_str()).encode() for _ in range(9)]
    stored = (await everything(event_log))[4:12]
    assert texts == [b'{"id":4}', *(b'{"id":%d,"event":%b}' % (it.sequence, it.body) for it in stored)]


@pytest.mark.parametrize("query", ["from_seq=99", "from_seq=x", "type=nothing"])
async def test_a_websocket_is_refused_as_a_request_is(from_log: Api, query: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await from_log.session.ws_connect(f"{from_log.base_url}/v1/events/ws?{query}")
    assert refused.value.status == (await from_log.get(f"{PATH}?{query}")).status


async def test_weights_are_those_of_the_latest_and_then_each_new(api: Api, read_side: Written) -> None:
    await write(read_side.log, *facts.whole_cycle(1), facts.weights_withheld(2))
    await read_side.project()
    async with listening(api, "/v1/weights/stream") as stream:
        (first,) = await stream.events(1)
        assert (first.id, first.event, first.data) == ("12", "weights", (await api.get("/v1/weights/latest")).body)
        await write(read_side.log, *facts.whole_cycle(3))
        await read_side.project()
        (second,) = await stream.events(1)
    async with listening(api, "/v1/weights/stream", **{"Last-Event-ID": "12"}) as stream:
        assert await stream.events(1) == [second]

    async def is_the_latest() -> bool:  # which is looked up a few times a second
        return (await api.get("/v1/weights/latest")).body == second.data

    await eventually(is_the_latest)


async def test_before_there_are_weights_the_stream_waits(from_log: Api, event_log: JetStreamLog) -> None:
    async with listening(from_log, "/v1/weights/stream") as stream:
        await write(event_log, *facts.whole_cycle(1))
        assert [it.id for it in await stream.events(1)] == ["12"]


async def test_head_tells_of_a_stream_and_opens_none(from_log: Api, event_log: JetStreamLog) -> None:
    await write(event_log, *facts.whole_cycle(1))
    async with from_log.session.head(f"{from_log.base_url}{PATH}?from_seq=1") as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "text/event-stream", b"")
    assert (await from_log.get("/livez")).status == 200
