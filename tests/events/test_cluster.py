"""The log on three servers: the leader dies, and nothing else happens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from events.connection import connect
from events.jetstream import JetStreamLog
from events.log import Draft, Stored
from tests.contracts.event_log import drafts, everything
from tests.eventually import eventually
from tests.fixtures.cluster import cluster, leader, on_loopback


@pytest.mark.slow
async def test_a_dead_leader_costs_no_acknowledged_event(tmp_path: Path) -> None:
    with cluster(tmp_path, on_loopback()) as servers:
        await servers.set_up()
        async with await connect(servers.url, "writer") as writing, await connect(servers.url, "reader") as reading:
            log, other = JetStreamLog(writing), JetStreamLog(reading)
            acknowledged: dict[int, Draft] = {}
            followed: list[Stored] = []

            stopping = asyncio.Event()

            async def write() -> None:
                number = 0
                while not stopping.is_set():
                    number += 1
                    batch = drafts(1 + number % 3, prefix=f"evt.{number}")
                    acknowledged.update(zip(await log.append(batch), batch, strict=True))
                    last = await log.last(batch[-1].subject)
                    assert last is not None, "reads its own writes"

            async def follow() -> None:
                async with aclosing(other.follow()) as batches:
                    async for batch in batches:
                        followed.extend(batch)

            async with asyncio.TaskGroup() as group:
                writer, follower = group.create_task(write()), group.create_task(follow())
                await eventually(lambda: len(acknowledged) > 100)
                servers.kill(await leader(reading))
                before = len(acknowledged)
                await eventually(lambda: len(acknowledged) > before + 100, timeout_s=60)
                stopping.set()
                await writer
                await eventually(lambda: len(followed) >= len(acknowledged))
                follower.cancel()

            expected = [Stored(sequence, it.subject, it.body) for sequence, it in sorted(acknowledged.items())]
            assert await everything(other) == expected
            assert followed == expected
