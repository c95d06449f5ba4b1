"""How fast all read models are written from the log, against only reading the log, in one run.

    python -m tests.bench.rebuild [events]

Wanted: at least 0.4 of the raw rate. Both read through `JetStreamLog` from the same embedded server.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from events.connection import connect
from events.event import Event
from events.ids import CycleId, EnvId, EpisodeKey
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from projectors.database import create_database, open_engine
from tests.controls import facts
from tests.fixtures.nats import NatsProcess
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import projected, running, write

EVENTS = 100_000
ROUNDS = 3
MINERS, EPISODES = 64, 20
ENVIRONMENTS = tuple(EnvId(f"metaworld/task-{number}-v3") for number in range(8))


def cycle(number: int) -> list[Event]:
    """One whole cycle of 64 miners on 8 environments, with some failures in it."""
    plan = facts.planned(
        number, uids=tuple(range(MINERS)), environments=ENVIRONMENTS, episodes=EPISODES, block=number
    )
    events: list[Event] = [plan, facts.seeded(number)]
    for index in range(EPISODES):
        for env in ENVIRONMENTS:
            for entry in plan.roster:
                key = EpisodeKey(CycleId(number), entry.uid, env, index)
                if (entry.uid + index) % 50 == 0:
                    events.append(facts.attempt_failed(key))
                if (entry.uid + index) % 20 == 0:
                    events.append(facts.forfeited(key))
                else:
                    events.append(facts.completed(key, success=entry.uid % 2 == 0))
    return [*events, facts.sealed(number), facts.weights_computed(number)]


async def raw(log: JetStreamLog) -> float:
    started, count = time.perf_counter(), 0
    async for batch in log.read():
        count += len(batch)
    return count / (time.perf_counter() - started)


async def rebuild(log: JetStreamLog, url: str) -> float:
    await create_database(url)
    end = await log.last_sequence()
    engine = open_engine(url, role="bench", command_timeout_s=60)
    started = time.perf_counter()
    async with running(log, url):
        await projected(engine, end)
        taken = time.perf_counter() - started
    await engine.dispose()
    return end / taken


async def measure(nats_url: str, postgres: RunningPostgres, events: int) -> None:
    async with await connect(nats_url, "bench") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        number = 0
        while await log.last_sequence() < events:
            number += 1
            await write(log, *cycle(number))
        end = await log.last_sequence()
        ratios = []
        for number in range(ROUNDS):
            reading, building = await raw(log), await rebuild(log, postgres.url(f"round_{number}"))
            ratios.append(building / reading)
            print(f"read {reading:10,.0f} events/s   rebuild {building:10,.0f} events/s   ratio {ratios[-1]:.2f}")
        print(
            f"rebuild of all read models from {end:,} events: {statistics.median(ratios):.2f} of reading (wanted 0.4)"
        )


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kinitro-bench-") as folder:
        home = Path(folder)
        nats, postgres = NatsProcess(home), RunningPostgres(home)
        try:
            nats.start()
            asyncio.run(nats.embedded.wait_ready())
            postgres.start()
            asyncio.run(postgres.server.wait_ready())
            uvloop.run(measure(nats.url, postgres, int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
        finally:
            nats.kill()
            postgres.stop()


if __name__ == "__main__":
    main()
