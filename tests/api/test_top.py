"""What `kinitro top` gets from an API is what it gets from the log, whatever is cut off or restarted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest

from api.server import run_api
from events.event import Event
from events.export_api import ApiTrouble
from events.log import EventLog
from events.public_api import NoAnswer
from events.top.api_source import ApiSource
from events.top.show import read
from events.top.sources import LogSource, Source
from events.top.watched import Watched
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.http import Api, Written, patient_settings
from tests.fixtures.link import Link
from tests.fixtures.nats import NatsProcess
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write
from tests.fixtures.terminals import terminal

CYCLE = large_cycle(1, miners=5, environments=2, episodes=4)
HALF = len(CYCLE) // 2


@asynccontextmanager
async def watching(source: Source) -> AsyncIterator[tuple[Watched, asyncio.Task[None]]]:
    watched = Watched()
    task = asyncio.create_task(read(source, watched))
    try:
        yield watched, task
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def watching_api(url: str) -> AsyncIterator[tuple[Watched, asyncio.Task[None]]]:
    async with aiohttp.ClientSession() as session, watching(ApiSource(session, url)) as it:
        yield it


async def assert_as_in(log: EventLog, watched: Watched) -> None:
    """All that does not depend on since when it was watched."""
    end = await log.last_sequence()
    async with watching(LogSource(log, "the log", lambda: True)) as (expected, _):
        await eventually(lambda: expected.sequence == end)
    await eventually(lambda: watched.sequence >= expected.sequence)
    assert watched.progress == expected.progress
    assert (watched.result, watched.begun_at, watched.ended_at) == (
        expected.result,
        expected.begun_at,
        expected.ended_at,
    )


async def begin(read_side: Written, events: Sequence[Event]) -> None:
    await write(read_side.log, *events)
    await read_side.project()


async def test_it_goes_on_from_the_snapshot(api: Api, read_side: Written) -> None:
    await begin(read_side, CYCLE[:HALF])
    async with watching_api(api.base_url) as (watched, _):
        await eventually(lambda: watched.progress.plan is not None)
        await write(read_side.log, *CYCLE[HALF:])
        await assert_as_in(read_side.log, watched)


async def test_a_cycle_that_has_ended_has_its_weights(api: Api, read_side: Written) -> None:
    await begin(read_side, CYCLE)
    async with watching_api(api.base_url) as (watched, _):
        await eventually(lambda: watched.result is not None)
        await assert_as_in(read_side.log, watched)


async def test_before_the_first_cycle_it_waits_for_it(api: Api, read_side: Written) -> None:
    async with watching_api(api.base_url) as (watched, _):
        await write(read_side.log, *CYCLE)
        await assert_as_in(read_side.log, watched)


async def test_a_connection_that_is_cut_again_and_again_costs_no_event(api: Api, read_side: Written) -> None:
    await begin(read_side, CYCLE[:HALF])
    async with Link(api.base_url) as link, watching_api(link.url.replace("nats", "http")) as (watched, _):
        await eventually(lambda: watched.progress.plan is not None)
        for place in range(HALF, len(CYCLE)):
            end = await write(read_side.log, CYCLE[place])
            if place % 4 == 0:
                link.cut()
            else:
                await eventually(lambda end=end: watched.sequence >= end)  # type: ignore[misc]
        await assert_as_in(read_side.log, watched)


async def test_it_goes_on_with_an_api_that_was_restarted(
    read_side: Written, database_url: str, nats_server: NatsProcess
) -> None:
    await begin(read_side, CYCLE[:HALF])
    settings, port = patient_settings(database_url, nats_server.url), free_port()
    async with aiohttp.ClientSession() as session:
        source = ApiSource(session, f"http://127.0.0.1:{port}")
        stop = asyncio.Event()
        running = asyncio.create_task(run_api(settings, "127.0.0.1", port, stop))
        await eventually(lambda: answers(session, port))
        async with watching(source) as (watched, _):
            await eventually(lambda: source.connected)
            stop.set()
            await running
            await eventually(lambda: not source.connected)
            await write(read_side.log, *CYCLE[HALF:])
            stop = asyncio.Event()
            running = asyncio.create_task(run_api(settings, "127.0.0.1", port, stop))
            await assert_as_in(read_side.log, watched)
        stop.set()
        await running


async def test_the_command_shows_an_api(api: Api, read_side: Written) -> None:
    await begin(read_side, CYCLE[:HALF])
    with terminal("top", "--api-url", f"{api.base_url}/") as it:
        await asyncio.to_thread(it.until, f"cycle 1 running   ● {api.base_url}")
        await write(read_side.log, *CYCLE[HALF:])
        await asyncio.to_thread(it.until, "cycle 1 weights computed")
        it.press(b"q")
        assert await asyncio.to_thread(it.ends) == 0


async def answers(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_an_api_that_was_never_there_is_told_at_once() -> None:
    async with watching_api(f"http://127.0.0.1:{free_port()}") as (_, task):
        with pytest.raises(NoAnswer, match="is --api-url right"):
            await task


async def test_another_log_than_before_ends_it(api: Api, read_side: Written) -> None:
    await begin(read_side, CYCLE[:HALF])
    async with aiohttp.ClientSession() as session:
        source = ApiSource(session, api.base_url)
        with pytest.raises(ApiTrouble, match="the log ends at"):
            async for _ in source.messages(10_000):
                pass
