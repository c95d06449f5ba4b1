"""kill -9 in the middle of a large build: what is live stays whole, the next start ends it, and nothing is left over.

A test's name ends with the seed of its log and of its moment. `KINITRO_TESTS_LONG=1` makes ten of each.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.connection import connect
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from projectors.database import DRIVER_ERRORS, create_database, open_engine
from projectors.operations import init
from projectors.topics import PROJECTIONS
from tests.controls.random_logs import random_log
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import project
from tests.projectors import bulk_programs
from tests.projectors.dumps import rows
from tests.projectors.killing import FoldingProcesses, folding_held, no_keys, no_swap, waits_for_a_lock

SEEDS = range(41, 51 if os.environ.get("KINITRO_TESTS_LONG") == "1" else 42)
MOMENT_S = 0.3
"""Up to so long after the processes begin to fold."""


@pytest.fixture
def in_small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projectors.bulk.STRETCH_EVENTS", bulk_programs.STRETCH_EVENTS)


async def outdated(log: JetStreamLog, engine: AsyncEngine, url: str, seed: int) -> dict[str, list[str]]:
    """All of a log is projected, but every read model is to be built anew. Returns what is live."""
    await log.append(random_log(seed, cycles=8))
    await project(log, engine, url)
    async with engine.begin() as connection:
        for projection in PROJECTIONS:
            await connection.execute(text(f"UPDATE {projection.name}.checkpoint SET version = 0"))
    return await rows(engine)


async def is_new(engine: AsyncEngine) -> bool:
    """Whether all read models are of this program's version, and no other schema is left."""
    names = [projection.name for projection in PROJECTIONS]
    try:
        async with engine.connect() as connection:
            for projection in PROJECTIONS:
                version = await connection.scalar(text(f"SELECT version FROM {projection.name}.checkpoint"))
                if version != projection.version:
                    return False
            found = text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public|inform)' ORDER BY 1")
            return list(await connection.scalars(found)) == sorted(names)
    except DRIVER_ERRORS:
        return False


@asynccontextmanager
async def leader(log: JetStreamLog, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.projectors.bulk_programs", log.url, url
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def leading(log: JetStreamLog, url: str) -> AsyncIterator[None]:
    """A projector within this process."""
    stop = asyncio.Event()
    task = asyncio.create_task(bulk_programs.run(log, url, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@asynccontextmanager
async def always_whole(engine: AsyncEngine, whole: dict[str, list[str]]) -> AsyncIterator[None]:
    """Somebody reads what is live, again and again, and always finds all of it."""
    done, seen = asyncio.Event(), list[bool]()

    async def read() -> None:
        while not done.is_set():
            seen.append(await rows(engine) == whole)

    reading = asyncio.create_task(read())
    try:
        yield
    finally:
        done.set()
        await reading
    assert seen
    assert all(seen)


async def at_a_moment(seed: int) -> None:
    await asyncio.sleep(Random(seed).uniform(0, MOMENT_S))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("step", ["while it folds", "before the keys", "between two swaps"])
async def test_the_process_that_leads_is_killed(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str, in_small_stretches: None, step: str, seed: int
) -> None:
    whole = await outdated(event_log, engine, database_url, seed)
    async with always_whole(engine, whole):
        async with leader(event_log, database_url) as process:
            async with folding_held(process.pid, engine) as processes:
                await killed_at(step, process, processes, engine, database_url, seed)
            await eventually(processes.gone)
        async with leading(event_log, database_url):
            await eventually(lambda: is_new(engine))
    assert await rows(engine) == whole


async def killed_at(
    step: str,
    process: asyncio.subprocess.Process,
    processes: FoldingProcesses,
    engine: AsyncEngine,
    url: str,
    seed: int,
) -> None:
    if step == "before the keys":
        async with no_keys(url):
            processes.go_on()
            await eventually(lambda: waits_for_a_lock(engine, "%ADD CONSTRAINT%"))
            process.kill()
            await process.wait()
    elif step == "between two swaps":
        async with no_swap(url, "miners"):
            processes.go_on()
            await eventually(lambda: waits_for_a_lock(engine, "%pg_advisory_xact_lock%"))
            process.kill()
            await process.wait()
    else:
        processes.go_on()
        await at_a_moment(seed)
        process.kill()
        await process.wait()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("which", ["the first", "another"])
async def test_a_process_that_folds_is_killed(
    event_log: JetStreamLog, engine: AsyncEngine, database_url: str, in_small_stretches: None, which: str, seed: int
) -> None:
    whole = await outdated(event_log, engine, database_url, seed)
    async with always_whole(engine, whole), leading(event_log, database_url):
        async with folding_held(os.getpid(), engine) as processes:
            if which == "another":
                processes.go_on()
                await eventually(lambda: bool(processes.others()) or processes.gone())
            for pid in processes.others() if which == "another" else [processes.first]:
                processes.kill(pid)
        await eventually(lambda: is_new(engine))
        await eventually(processes.gone)
    assert await rows(engine) == whole


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("step", ["while it folds", "between two swaps"])
async def test_postgresql_is_killed(
    event_log: JetStreamLog, postgres_alone: RunningPostgres, in_small_stretches: None, step: str, seed: int
) -> None:
    url = postgres_alone.server.url
    await create_database(url)
    await init(url)
    engine = open_engine(url, role="test", command_timeout_s=60)
    whole = await outdated(event_log, engine, url, seed)
    async with leading(event_log, url):
        async with folding_held(os.getpid(), engine) as processes:
            if step == "while it folds":
                processes.go_on()
                await at_a_moment(seed)
                postgres_alone.kill()
            else:
                async with no_swap(url, "miners"):
                    processes.go_on()
                    await eventually(lambda: waits_for_a_lock(engine, "%pg_advisory_xact_lock%"))
                    postgres_alone.kill()
        postgres_alone.start()
        await eventually(lambda: is_new(engine))
        await eventually(processes.gone)
    assert await rows(engine) == whole
    await engine.dispose()


@pytest.mark.parametrize("seed", SEEDS)
async def test_nats_is_killed(
    nats_alone: NatsProcess, engine: AsyncEngine, database_url: str, in_small_stretches: None, seed: int
) -> None:
    async with await connect(nats_alone.url, "tests") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        whole = await outdated(log, engine, database_url, seed)
        async with always_whole(engine, whole), leading(log, database_url):
            async with folding_held(os.getpid(), engine) as processes:
                processes.go_on()
                await at_a_moment(seed)
                nats_alone.kill()
            nats_alone.start()
            await eventually(lambda: is_new(engine))
            await eventually(processes.gone)
    assert await rows(engine) == whole
