"""`/v1/episodes/{id}/live`: what workers tell while somebody looks, and nothing afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from api.live_stream import LiveStream, event
from api.server import listening, serve
from consumers.simulation.worker import WorkerSettings, run_worker
from events import frames, live
from events.connection import Connection
from events.ids import EpisodeKey
from events.jetstream_queue import JetStreamQueue
from events.live import Step
from tests.controls import facts
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.http import Api, Written, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.policies import lazy, served
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write

KEY = facts.key()
PATH = f"/v1/episodes/{KEY.id}/live"


@dataclass
class Seen:
    """What one reader got."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def steps(self) -> list[int]:
        return [data["step"] for kind, data in self.events if kind == "step"]


@asynccontextmanager
async def reading(api: Api, path: str = PATH) -> AsyncIterator[Seen]:
    seen = Seen()
    async with api.session.get(f"{api.base_url}{path}") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        reader = asyncio.create_task(_read(response, seen))
        try:
            yield seen
        finally:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader


async def _read(response: aiohttp.ClientResponse, seen: Seen) -> None:
    kind = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            seen.events.append((kind, json.loads(line.removeprefix("data: "))))
    seen.ended.set()


@dataclass
class Wishes:
    """What workers are asked for."""

    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, subject: bytes, _: bytes, __: bytes, body: bytes) -> None:
        self.heard.append((live.wished(subject.decode()), body))


@pytest.fixture
async def wishes(nats: Connection) -> Wishes:
    wishes = Wishes()
    await nats.client.subscribe_directly(live.WISHES, wishes.take)
    await nats.client.flush()
    return wishes


@pytest.fixture
async def planned(read_side: Written) -> None:
    await write(read_side.log, facts.planned(), facts.seeded())
    await read_side.project()


async def tell(nats: Connection, step: int, *, key: EpisodeKey = KEY, done: bool = False) -> None:
    told = Step(worker="w", step=step, steps_max=500, done=done)
    await nats.send(frames.publish(live.steps(key), told.model_dump_json(exclude_none=True).encode()))


async def test_who_looks_sees_steps_until_the_outcome_is_in_the_log(
    api: Api, nats: Connection, wishes: Wishes, planned: None, read_side: Written
) -> None:
    async with reading(api) as seen, reading(api) as other:
        await eventually(lambda: (KEY.id, b"") in wishes.heard)
        for step in range(1, 4):
            await tell(nats, step, done=step == 3)
        await eventually(lambda: seen.steps == [1, 2, 3] and other.steps == [1, 2, 3])
        assert not seen.ended.is_set()
        await write(read_side.log, facts.completed(KEY))
        await asyncio.wait_for(seen.ended.wait(), 60)
    assert seen.events[-1] == ("end", {"episode": f"/v1/episodes/{KEY.id}"})


async def test_pictures_are_asked_for_while_somebody_wants_them(api: Api, wishes: Wishes, planned: None) -> None:
    async with reading(api):
        await eventually(lambda: wishes.heard != [])
        assert {body for _, body in wishes.heard} == {b""}
        async with reading(api, f"{PATH}?frames=true"):
            await eventually(lambda: wishes.heard[-1] == (KEY.id, live.FRAMES))
        await eventually(lambda: wishes.heard[-1] == (KEY.id, b""))


async def test_when_the_last_one_leaves_nothing_is_asked_for(
    api: Api, wishes: Wishes, planned: None, nats: Connection
) -> None:
    async with reading(api), reading(api):
        await eventually(lambda: wishes.heard != [])
        assert await _readers(api) == 2

    async def nobody() -> bool:
        return await _readers(api) == 0

    await eventually(nobody)
    await nats.client.flush()
    wishes.heard.clear()
    other = EpisodeKey(KEY.cycle, KEY.uid, KEY.env, 1)
    async with reading(api, f"/v1/episodes/{other.id}/live"):
        await eventually(lambda: len(wishes.heard) >= 2)
    assert {episode for episode, _ in wishes.heard} == {other.id}


async def _readers(api: Api) -> float:
    text = (await api.get("/metrics")).body.decode()
    return float(text.split('kinitro_stream_readers{stream="live"} ')[1].split()[0])


async def test_an_episode_that_has_ended_says_so_at_once(api: Api, planned: None, read_side: Written) -> None:
    await write(read_side.log, facts.completed(KEY))
    async with reading(api) as seen:
        await asyncio.wait_for(seen.ended.wait(), 60)
    assert [kind for kind, _ in seen.events] == ["end"]


async def test_a_process_that_stops_keeps_nobody(
    database_url: str, nats_server: NatsProcess, nats: Connection, planned: None
) -> None:
    seen = Seen()
    async with aiohttp.ClientSession() as session:
        async with serving(patient_settings(database_url, nats_server.url)) as api:
            await eventually(api.sees_the_log)
            response = await session.get(f"{api.base_url}{PATH}")
            reader = asyncio.create_task(_read(response, seen))
        await asyncio.wait_for(reader, 60)
        response.close()
    assert (seen.events, seen.ended.is_set()) == ([], True)


async def test_who_does_not_read_is_hung_up_on() -> None:
    stop = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield event("step", bytes(100_000))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await LiveStream(endless(), stall_s=0.2)(scope, receive, send)
            ended.set()

    ended = asyncio.Event()
    port = free_port()
    with listening("127.0.0.1", port) as listener:
        server = asyncio.create_task(serve(app, listener, stop))
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(ended.wait(), 60)
        writer.close()
        stop.set()
        await server


@pytest.mark.parametrize("episode", ["nonsense", "1.0.metaworld.reach-v3.99", "7.0.metaworld.reach-v3.0"])
async def test_what_no_plan_holds_is_unknown(api: Api, planned: None, episode: str) -> None:
    assert await api.problem(f"/v1/episodes/{episode}/live") == (404, "unknown-episode")


async def test_there_is_room_for_so_many(api: Api, planned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.READERS_MAX", 1)
    async with reading(api):
        assert await api.problem(PATH) == (503, "too-many-readers")


async def test_a_real_worker_is_seen_through_the_api(
    api: Api, planned: None, nats: Connection, nats_server: NatsProcess, wishes: Wishes
) -> None:
    gate = asyncio.Event()

    async def slow(body: bytes) -> aiohttp.web.StreamResponse:
        await gate.wait()
        await asyncio.sleep(0.02)
        return await lazy(body)

    stop = asyncio.Event()
    settings = WorkerSettings(nats_server.url, "worker-1", allow_private_endpoints=True)
    worker = asyncio.create_task(run_worker(settings, stop))
    terms = facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "steps_max": 50})
    try:
        async with served(slow) as policy, reading(api) as seen:
            await JetStreamQueue(nats).put([task(endpoint=policy.url, terms=terms)])
            await eventually(lambda: policy.acts == 1)
            before = len(wishes.heard)
            await eventually(lambda: len(wishes.heard) > before)  # which the worker hears too
            gate.set()
            await asyncio.wait_for(seen.ended.wait(), 60)
    finally:
        stop.set()
        await worker
    assert seen.steps[-1] == 50
    assert all("reward" not in data and "frame" not in data for _, data in seen.events)
