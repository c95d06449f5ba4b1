"""Replaying: from every place of the log the same rows, and until the swap nothing has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from events.jetstream import JetStreamLog
from events.log import Draft
from events.memory import MemoryLog
from projectors import schemas
from projectors.beginning import from_the_past
from projectors.checkpoint import CannotReplay, LogReplaced, ProjectionFailed
from projectors.compare import Different, Identical, NotCompared
from projectors.cycles.project import PROJECTION as CYCLES
from projectors.database import open_engine
from projectors.episodes.project import PROJECTION as EPISODES
from projectors.operations import init
from projectors.projector import Projection
from projectors.replay import Replay, Replayed
from projectors.topics import PROJECTIONS
from projectors.weights.project import PROJECTION as WEIGHTS
from tests.controls import facts
from tests.controls.random_logs import random_log
from tests.fixtures.projecting import project, projected, running, write
from tests.projectors.dumps import dump, rows

PLACES = 8


async def log_of(drafts: Sequence[Draft]) -> MemoryLog:
    log = MemoryLog()
    await log.append(drafts)
    return log


def drawn(seed: int, events: Sequence[Draft], count: int = PLACES) -> list[int]:
    return sorted(Random(seed).sample(range(1, len(events) + 1), min(count, len(events))))


async def replay(
    log: MemoryLog | JetStreamLog, engine: AsyncEngine, *projections: Projection, kept: int = 0
) -> list[Replayed]:
    return await Replay(log, engine, projections or PROJECTIONS, kept=kept).run()


async def leftovers(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        found = await connection.scalars(text(r"SELECT nspname FROM pg_namespace WHERE nspname ~ '_(next|old)$'"))
        return list(found)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_tables_cut_back_hold_what_projecting_that_many_events_gives(
    seed: int, engine: AsyncEngine, database_url: str, empty_database_url: str
) -> None:
    drafts = random_log(seed)
    whole, growing = await log_of(drafts), MemoryLog()
    await project(whole, engine, database_url)
    await init(empty_database_url)
    then, seen = open_engine(empty_database_url, role="test", command_timeout_s=10), 0
    for place in drawn(seed, drafts):
        await growing.append(drafts[seen:place])
        await project(growing, then, empty_database_url)
        for projection in PROJECTIONS:
            await from_the_past(whole, engine, projection, place)
        assert await rows(engine, suffix="_next") == await rows(then), f"at {place} of {len(drafts)}"
        seen = place
    await then.dispose()


@pytest.mark.parametrize("seed", [11, 12])
async def test_from_any_place_a_replay_gives_the_rows_of_a_projection_from_the_first_event(
    seed: int, engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(seed)
    log = await log_of(drafts)
    await project(log, engine, database_url)
    before = await dump(engine)
    for kept in [0, *drawn(seed, drafts), len(drafts)]:
        done = await replay(log, engine, kept=kept)
        assert [(it.kept, it.end) for it in done] == [(kept, len(drafts))] * len(PROJECTIONS)
        assert {it.comparison for it in done} == {Identical(len(drafts))}
        assert await dump(engine) == before
    assert await leftovers(engine) == []


@pytest.mark.parametrize("kept", [0, 40])
async def test_beside_a_running_projector_nothing_is_lost_and_nothing_counted_twice(
    kept: int, event_log: JetStreamLog, engine: AsyncEngine, database_url: str, empty_database_url: str
) -> None:
    drafts = random_log(3, cycles=6)
    await event_log.append(drafts[:60])
    async with running(event_log, database_url) as task:
        await projected(engine, 60)
        for start in range(60, len(drafts), 5):
            replaying = asyncio.create_task(replay(event_log, engine, kept=kept))
            await event_log.append(drafts[start : start + 5])
            done = await replaying
            assert {type(it.comparison) for it in done} == {Identical}
        await projected(engine, len(drafts))
        assert not task.done()
    await init(empty_database_url)
    other = open_engine(empty_database_url, role="test", command_timeout_s=10)
    await project(event_log, other, empty_database_url)
    assert await dump(engine) == await dump(other)
    await other.dispose()


@pytest.mark.parametrize("kept", [0, 10])
async def test_cut_off_at_any_statement_it_leaves_the_rows_as_they_were(
    kept: int, engine: AsyncEngine, database_url: str
) -> None:
    log = await log_of(random_log(5, cycles=2))
    await project(log, engine, database_url)
    before, step, cut_off = await dump(engine), 0, 0
    while True:
        step += 11
        task = asyncio.create_task(replay(log, engine, kept=kept))
        left = step

        def count_down(*_: object, task: asyncio.Task[list[Replayed]] = task) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                task.cancel()

        event.listen(engine.sync_engine, "before_cursor_execute", count_down)
        await asyncio.wait({task})
        event.remove(engine.sync_engine, "before_cursor_execute", count_down)
        assert await dump(engine) == before
        if not task.cancelled():
            assert {type(it.comparison) for it in task.result()} == {Identical}
            break
        cut_off += 1
    assert cut_off > 5
    assert await leftovers(engine) == []


async def test_what_a_killed_replay_has_left_is_dropped_by_the_next(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(random_log(6))
    await project(log, engine, database_url)
    before = await dump(engine)
    for projection in PROJECTIONS:
        await from_the_past(log, engine, projection, 9)
    assert len(await leftovers(engine)) == len(PROJECTIONS)
    await replay(log, engine)
    assert await leftovers(engine) == []
    assert await dump(engine) == before


@pytest.mark.parametrize(
    ("statement", "table", "key", "what"),
    [
        ("UPDATE cycles.progress SET completed = 99 WHERE cycle = 2", "progress", 2, "had other values"),
        ("DELETE FROM cycles.plans WHERE cycle = 3", "plans", 3, "was missing"),
        ("INSERT INTO cycles.seeds VALUES (77, 1, 'x', now(), 1)", "seeds", 77, "was live only"),
    ],
)
async def test_a_read_model_that_was_wrong_is_named_and_mended(
    statement: str, table: str, key: int, what: str, engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(7)
    log = await log_of(drafts)
    await project(log, engine, database_url)
    before = await dump(engine)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    (done,) = await replay(log, engine, CYCLES)
    found = done.comparison
    assert isinstance(found, Different)
    assert (found.sequence, found.table, found.key["cycle"], found.what) == (len(drafts), table, key, what)
    assert await dump(engine) == before


async def test_only_the_named_models_are_replayed(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(random_log(8))
    await project(log, engine, database_url)
    async with engine.connect() as connection:
        before = dict(zip(PROJECTIONS, await schemas.generations(connection, PROJECTIONS), strict=True))
    await replay(log, engine, CYCLES, WEIGHTS)
    async with engine.connect() as connection:
        after = dict(zip(PROJECTIONS, await schemas.generations(connection, PROJECTIONS), strict=True))
    assert {it for it in PROJECTIONS if before[it] != after[it]} == {CYCLES, WEIGHTS}


async def test_a_model_behind_the_log_is_compared_where_it_stands_and_brought_to_the_end(
    engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(9)
    log = await log_of(drafts[:50])
    await project(log, engine, database_url)
    await log.append(drafts[50:])
    for it in await replay(log, engine, kept=20):
        assert (it.end, it.comparison) == (len(drafts), Identical(50))


@pytest.mark.parametrize(
    ("kept", "tells"),
    [(51, "choose a place up to 50"), (1000, "the log ends at sequence 60"), (-1, "no sequence -1")],
)
async def test_a_place_that_was_not_reached_is_refused(
    kept: int, tells: str, engine: AsyncEngine, database_url: str
) -> None:
    drafts = random_log(9)
    log = await log_of(drafts[:50])
    await project(log, engine, database_url)
    await log.append(drafts[50:60])
    before = await dump(engine)
    with pytest.raises(CannotReplay, match=tells):
        await replay(log, engine, kept=kept)
    assert await dump(engine) == before
    assert await leftovers(engine) == []


@pytest.mark.parametrize(("outdated", "replayed"), [(CYCLES, CYCLES), (EPISODES, CYCLES)])
async def test_tables_of_another_version_are_not_copied_from(
    outdated: Projection, replayed: Projection, engine: AsyncEngine, database_url: str
) -> None:
    log = await log_of(random_log(9))
    await project(log, engine, database_url)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE {outdated.name}.checkpoint SET version = 0"))
    with pytest.raises(CannotReplay, match=f"replay {outdated.name} from the beginning, without --from"):
        await replay(log, engine, replayed, kept=10)
    (done,) = await replay(log, engine, outdated)
    assert isinstance(done.comparison, NotCompared)
    (done,) = await replay(log, engine, replayed, kept=10)
    assert isinstance(done.comparison, Identical)


async def test_models_of_another_log_are_replaced_only_where_that_is_wanted(
    engine: AsyncEngine, database_url: str
) -> None:
    await project(await log_of(random_log(9)), engine, database_url)
    before = await dump(engine)
    other = await log_of(random_log(10))
    with pytest.raises(LogReplaced, match="kinitro replay --force"):
        await replay(other, engine)
    assert await dump(engine) == before
    for it in await Replay(other, engine, PROJECTIONS, other_log=True).run():
        assert it.comparison == NotCompared("what was live was made from another log")
    await project(other, engine, database_url)  # goes on in them


async def test_an_event_that_cannot_be_projected_leaves_all_live_tables(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await log_of(random_log(9))
    await project(log, engine, database_url)
    before = await dump(engine)
    await log.append([Draft("evt.weights.99", "spoilt", b"no event")])
    with pytest.raises(ProjectionFailed, match=r"evt\.weights\.99"):
        await replay(log, engine)
    assert await dump(engine) == before
    assert await leftovers(engine) == []


async def test_while_somebody_builds_a_model_nobody_else_does(engine: AsyncEngine, database_url: str) -> None:
    log = MemoryLog()
    await write(log, *facts.whole_cycle())
    await project(log, engine, database_url)
    async with schemas.building(engine, CYCLES) as ours:
        assert ours
        with pytest.raises(CannotReplay, match="another process is building cycles"):
            await replay(log, engine)
    assert len(await replay(log, engine)) == len(PROJECTIONS)
