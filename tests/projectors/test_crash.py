"""kill -9 in the middle of a large projection changes no number."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy.ext.asyncio import AsyncEngine

from events.jetstream import JetStreamLog
from projectors.operations import status
from projectors.topics import PROJECTIONS
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import projected, write
from tests.projectors.dumps import counted, drop_all, expected_counts, outcome_rows

KILLS = 4


async def test_counters_are_exact_after_a_projector_was_killed_many_times(
    event_log: JetStreamLog, nats_server: NatsProcess, engine: AsyncEngine, database_url: str
) -> None:
    events = large_cycle(miners=16, environments=8, episodes=150)
    await write(event_log, *events)

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.projectors.programs", nats_server.url, database_url
        )

    kills, all_of_them = 0, len(PROJECTIONS) * len(events)
    while kills < KILLS:  # the time-out of the test ends this
        if (before := await position(database_url)) == all_of_them:
            await drop_all(engine)  # this one was done before it could be killed: the next begins anew
            before = 0
        process = await start()
        await eventually(lambda before=before: moved(database_url, before))  # type: ignore[misc]
        process.kill()
        await process.wait()
        kills += await position(database_url) < all_of_them
    process = await start()
    await projected(engine, len(events))
    process.kill()
    await process.wait()
    assert await counted(engine) == expected_counts(events)
    assert await outcome_rows(engine) == 16 * 8 * 150


async def position(url: str) -> int:
    """Of all projections together."""
    return sum(each.sequence for each in (await status(None, url)).projections)


async def moved(url: str, before: int) -> bool:
    return await position(url) > before
