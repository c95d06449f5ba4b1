"""Rebuilding: the same rows, beside the live tables, and no reader ever sees a gap."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.memory import MemoryLog
from projectors import schemas
from projectors.checkpoint import ProjectionFailed
from projectors.cycles.project import PROJECTION as CYCLES
from projectors.operations import status
from projectors.projector import Projection
from projectors.rebuild import rebuild
from projectors.runner import Runner
from projectors.topics import PROJECTIONS
from projectors.weights.project import PROJECTION as WEIGHTS
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.projecting import project, projected, running, write
from tests.projectors.dumps import counted, dump, expected_counts


def newer(projection: Projection) -> Projection:
    return dataclasses.replace(projection, version=projection.version + 1)


async def projected_log(engine: AsyncEngine, url: str) -> MemoryLog:
    log = MemoryLog()
    await write(log, facts.discovered(0), facts.discovered(1), *large_cycle(), *facts.whole_cycle(2))
    await project(log, engine, url)
    return log


async def version_of(url: str, projection: Projection) -> int | None:
    (found,) = (each for each in (await status(None, url)).projections if each.name == projection.name)
    return found.version


async def schemas_there(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        names = await connection.scalars(
            text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|public|inform)'")
        )
        return set(names)


async def test_a_rebuild_gives_the_same_rows(engine: AsyncEngine, database_url: str) -> None:
    log = await projected_log(engine, database_url)
    before = await dump(engine)
    for projection in PROJECTIONS:
        assert await rebuild(log, engine, newer(projection), asyncio.Event())
    after = await dump(engine)
    assert {name: rows for name, rows in before.items() if "checkpoint" not in name} == {
        name: rows for name, rows in after.items() if "checkpoint" not in name
    }
    assert await schemas_there(engine) == {projection.name for projection in PROJECTIONS}


async def test_a_new_version_is_rebuilt_when_the_runner_starts(engine: AsyncEngine, database_url: str) -> None:
    log = await projected_log(engine, database_url)
    stop = asyncio.Event()
    task = asyncio.create_task(Runner(log, engine, [newer(it) for it in PROJECTIONS], stop).run())
    for projection in PROJECTIONS:
        await eventually(lambda it=projection: is_version(database_url, it, it.version + 1))  # type: ignore[misc]
    await projected(engine, await write(log, facts.planned(3)))
    stop.set()
    await task


async def is_version(url: str, projection: Projection, version: int) -> bool:
    return await version_of(url, projection) == version


async def test_readers_never_see_less_while_tables_are_swapped(engine: AsyncEngine, database_url: str) -> None:
    log = await projected_log(engine, database_url)
    whole, seen, done = await counted(engine), list[Counter[str]](), asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            seen.append(await counted(engine))

    reading = asyncio.create_task(read())
    projection = CYCLES
    for _ in range(10):
        projection = newer(projection)
        assert await rebuild(log, engine, projection, asyncio.Event())
    done.set()
    await reading
    assert len(seen) > 10
    assert all(counts == whole for counts in seen)


async def test_a_projector_that_was_writing_to_replaced_tables_goes_on_in_the_new_ones(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await projected_log(engine, database_url)
    number, events = 3, [*large_cycle(), *facts.whole_cycle(2)]
    async with running(log, database_url) as task:
        for _ in range(5):
            # The running projector knows this version only: built anew, the tables are those it goes on with.
            async with engine.begin() as connection:
                await connection.execute(text("UPDATE cycles.checkpoint SET version = 0"))
            rebuilding = asyncio.create_task(rebuild(log, engine, CYCLES, asyncio.Event()))
            for _ in range(5):
                cycle = facts.whole_cycle(number)
                end, number, events = await write(log, *cycle), number + 1, [*events, *cycle]
            await rebuilding
        await projected(engine, end)
        assert not task.done()
    assert await counted(engine) == expected_counts(events)


async def test_an_event_that_cannot_be_projected_leaves_the_live_tables(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await projected_log(engine, database_url)
    before = await dump(engine)

    def refuse(*_: object) -> None:
        raise ValueError("no place for this")

    broken = dataclasses.replace(newer(WEIGHTS), handlers=dict.fromkeys(WEIGHTS.handlers, refuse))
    with pytest.raises(ProjectionFailed, match="no place for this"):
        await rebuild(log, engine, broken, asyncio.Event())
    assert await dump(engine) == before


async def test_a_failed_rebuild_shows_in_the_status_and_stops_nothing_else(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await projected_log(engine, database_url)

    def refuse(*_: object) -> None:
        raise ValueError("no place for this")

    broken = dataclasses.replace(newer(WEIGHTS), handlers=dict.fromkeys(WEIGHTS.handlers, refuse))
    stop = asyncio.Event()
    task = asyncio.create_task(Runner(log, engine, [CYCLES, broken], stop).run())
    await eventually(lambda: error_shows(database_url))
    await projected(engine, await write(log, facts.planned(3)), ["cycles"])
    stop.set()
    await task


async def error_shows(url: str) -> bool:
    (found,) = (each for each in (await status(None, url)).projections if each.name == "weights")
    rebuilding = f"rebuild to version {WEIGHTS.version + 1}"
    return rebuilding in (found.error or "") and "no place for this" in (found.error or "")


async def test_only_one_process_rebuilds_a_projection(engine: AsyncEngine, database_url: str) -> None:
    log = await projected_log(engine, database_url)
    async with schemas.building(engine, CYCLES) as ours:
        assert ours
        assert not await rebuild(log, engine, newer(CYCLES), asyncio.Event())
    assert await rebuild(log, engine, newer(CYCLES), asyncio.Event())


async def test_a_rebuild_that_was_cut_off_is_done_again_from_the_start(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await projected_log(engine, database_url)
    interrupt = asyncio.Event()
    interrupt.set()
    assert not await rebuild(log, engine, newer(CYCLES), interrupt)
    assert "cycles_next" in await schemas_there(engine)
    assert await rebuild(log, engine, newer(CYCLES), asyncio.Event())
    assert await counted(engine) == expected_counts([*large_cycle(), *facts.whole_cycle(2)])
