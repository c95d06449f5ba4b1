"""A reader that is cut off again and again gets what an export holds: real processes, really killed.

`KINITRO_TESTS_LONG=1` streams a day's 100,000 events through three times as many restarts.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from random import Random

import aiohttp
import pytest
import uvloop

from events.connection import connect
from events.export import check
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.api_process import ApiProcess, served
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
EPISODES = 250 if LONG else 15
ROUNDS = 18 if LONG else 6
LEAVES = 0.2
"""How often a reader leaves after a read."""
BACK_OFF_S = 0.05


class Follower:
    """Reads the stream from its beginning, and leaves it at random; what it got is in the digest."""

    def __init__(self, url: str) -> None:
        self.position, self.connections = 0, 0
        self.digest = hashlib.sha256()
        self._url, self._random = url, Random(7)

    async def read(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._once(session)
                except aiohttp.ClientError:
                    await asyncio.sleep(BACK_OFF_S)

    async def _once(self, session: aiohttp.ClientSession) -> None:
        headers = {"Last-Event-ID": str(self.position)}
        async with session.get(self._url, headers=headers, timeout=aiohttp.ClientTimeout(sock_read=60)) as answer:
            if answer.status == 503:
                await asyncio.sleep(BACK_OFF_S)
                return
            assert answer.status == 200, await answer.text()
            self.connections += 1
            rest = b""
            async for data in answer.content.iter_any():
                *frames, rest = (rest + data).split(b"\n\n")
                for frame in frames:
                    self._take(frame)
                if self._random.random() < LEAVES:
                    return

    def _take(self, frame: bytes) -> None:
        head, has_data, body = frame.partition(b"\ndata: ")
        if not has_data or not head.startswith(b"id: "):
            return  # a beginning, a heartbeat or an end
        sequence = int(head.partition(b"\n")[0].removeprefix(b"id: "))
        assert sequence == self.position + 1
        self.position = sequence
        self.digest.update(body + b"\n")


def disturb(number: int, api: ApiProcess, nats: NatsProcess) -> None:
    match number % 3:
        case 0:
            api.stop(cleanly=True)
            api.start()
        case 1:
            nats.kill()
            nats.start()
        case _:
            api.stop(cleanly=False)
            api.start()


@pytest.mark.slow
def test_what_was_read_through_restarts_is_what_an_export_holds(nats_alone: NatsProcess) -> None:
    with served(nats_alone) as api:
        uvloop.run(through_restarts(api, nats_alone))


async def through_restarts(api: ApiProcess, nats: NatsProcess) -> None:
    follower = Follower(f"{api.base_url}/v1/events/stream")
    async with await connect(nats.url, "tests") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        reading = asyncio.create_task(follower.read())
        for number in range(ROUNDS):
            end = await write(log, *large_cycle(number + 1, miners=10, environments=2, episodes=EPISODES))
            await eventually(lambda end=end: reading.done() or follower.position > end // 2)  # type: ignore[misc]
            await asyncio.to_thread(disturb, number, api, nats)
            await eventually(lambda: is_up(api.base_url))  # before that it knows no clean end
        end = await write(log, *large_cycle(ROUNDS + 1, miners=10, environments=2, episodes=1))
        await eventually(lambda: reading.done() or follower.position == end, 120)
        assert not reading.done(), reading.result()
        exported = await export(api.base_url)
        reading.cancel()
    print(f"{follower.position} events over {follower.connections} connections")
    assert follower.connections > ROUNDS
    assert follower.digest.hexdigest() == exported


async def is_up(base_url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{base_url}/livez") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def export(base_url: str) -> str:
    """The digest of all lines of the export but the trailer."""
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/v1/events") as answer:
        lines = (await answer.read()).splitlines(keepends=True)
    check(lines)
    return hashlib.sha256(b"".join(lines[:-1])).hexdigest()
