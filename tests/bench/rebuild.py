"""How fast all read models are written from the log, against only reading the log, in one run.

    python -m tests.bench.rebuild [events [events]]

Wanted: at least 0.5 of the raw rate, and with 1,000,000 events (on demand: `100000 1000000`) at least 0.9 of the
rate with 100,000. All read through `JetStreamLog` from the same embedded server, in order and by one process. Beside
it, for comparison, the same by one process; the rounds take turns. On a busy machine the processor time tells more:
that of all who take part, both servers included.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import uvloop

from events.connection import connect
from events.event import Event
from events.ids import CycleId, EnvId, EpisodeKey
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from projectors.bulk import Folders, folders_for
from projectors.checkpoint import wait_for
from projectors.database import create_database, open_engine
from projectors.runner import Runner
from projectors.topics import PROJECTIONS
from tests.controls import facts
from tests.fixtures.nats import NatsProcess
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import write

EVENTS = 100_000
ROUNDS = 3
LOOK_S = 0.05
REBUILD_TIMEOUT_S = 600.0
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


class Processors(threading.Thread):
    """Sums the processor time of this process and all below it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._spent_s: dict[int, float] = {}

    def __enter__(self) -> Processors:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._look()

    def spent_s(self) -> float:
        """Of those that have ended, what they took since they were last seen is missing: at most `LOOK_S` each."""
        self._look()
        return sum(self._spent_s.values())

    def _look(self) -> None:
        parents, spent_s = dict[int, int](), dict[int, float]()
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdecimal():
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    parents[int(folder.name)] = int(fields[1])
                    spent_s[int(folder.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        ours, found = set[int](), {os.getpid()}
        while found:
            ours |= found
            found = {pid for pid, parent in parents.items() if parent in found}
        self._spent_s |= {pid: spent_s[pid] for pid in ours if pid in spent_s}


async def raw(log: JetStreamLog) -> float:
    started, count = time.perf_counter(), 0
    async for batch in log.read():
        count += len(batch)
    return count / (time.perf_counter() - started)


async def rebuild(log: JetStreamLog, url: str, processes: int) -> float:
    """Fills an empty database, as `run_projectors` does."""
    await create_database(url)
    end = await log.last_sequence()
    engine, stop = open_engine(url, role="bench", command_timeout_s=60), asyncio.Event()
    started = time.perf_counter()
    running = asyncio.create_task(Runner(log, engine, PROJECTIONS, stop, (), Folders(url, processes)).run())
    try:
        for projection in PROJECTIONS:
            await wait_for(engine, projection.name, end, timeout_s=REBUILD_TIMEOUT_S)
        return end / (time.perf_counter() - started)
    finally:
        stop.set()
        await running
        await engine.dispose()


async def measure(nats_url: str, postgres: RunningPostgres, sizes: Sequence[int]) -> None:
    async with await connect(nats_url, "bench") as connection:
        await ensure_streams(connection)
        log, number, medians = JetStreamLog(connection), 0, list[float]()
        for events in sizes:
            while await log.last_sequence() < events:
                number += 1
                await write(log, *cycle(number))
            medians.append(await compare(log, postgres, await log.last_sequence()))
        for events, median in zip(sizes[1:], medians[1:], strict=True):
            print(f"rate with {events:,} events: {median / medians[0]:.2f} of that with {sizes[0]:,} (wanted 0.9)")


async def compare(log: JetStreamLog, postgres: RunningPostgres, end: int) -> float:
    """The median rate of several processes."""
    several = folders_for("").processes
    rates, ratios, alone = list[float](), list[float](), list[float]()
    with Processors() as processors:
        for turn in range(ROUNDS):
            spent_s = [processors.spent_s()]
            reading = await raw(log)
            spent_s.append(processors.spent_s())
            rates.append(await rebuild(log, postgres.url(f"several_{end}_{turn}"), several))
            spent_s.append(processors.spent_s())
            alone.append(await rebuild(log, postgres.url(f"alone_{end}_{turn}"), 0) / reading)
            ratios.append(rates[-1] / reading)
            read_us, rebuild_us = ((after - before) / end * 1e6 for before, after in pairwise(spent_s))
            print(
                f"read {reading:10,.0f} events/s, {read_us:.0f} us of processors each   rebuild {rates[-1]:10,.0f}"
                f" events/s, {rebuild_us:.0f} us   ratio {ratios[-1]:.2f}   one process {alone[-1]:.2f}"
            )
    print(
        f"rebuild of all read models from {end:,} events by {several} processes: {statistics.median(ratios):.2f} of"
        f" reading (wanted 0.5), by one {statistics.median(alone):.2f}"
    )
    return statistics.median(rates)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kinitro-bench-") as folder:
        home = Path(folder)
        nats, postgres = NatsProcess(home), RunningPostgres(home)
        try:
            nats.start()
            asyncio.run(nats.embedded.wait_ready())
            postgres.start()
            asyncio.run(postgres.server.wait_ready())
            uvloop.run(measure(nats.url, postgres, [int(it) for it in sys.argv[1:]] or [EVENTS]))
        finally:
            nats.kill()
            postgres.stop()


if __name__ == "__main__":
    main()
