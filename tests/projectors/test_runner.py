"""The runner: exact under races, crashes and outages, and never on a log that is not its own."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from events.codec import draft
from events.connection import connect
from events.envelope import begin
from events.event import Event
from events.jetstream import JetStreamLog
from events.log import Draft
from events.memory import MemoryLog
from events.streams import ensure_streams
from projectors.checkpoint import LogReplaced, ProjectionBehind, ProjectionFailed, wait_for
from projectors.cycles.project import PROJECTION as CYCLES
from projectors.database import create_database, open_engine
from projectors.episodes.project import PROJECTION as EPISODES
from projectors.miners.project import PROJECTION as MINERS
from projectors.operations import init, run_projectors, status
from projectors.runner import STOP_GRACE_S, Runner
from projectors.topics import PROJECTIONS
from projectors.weights.project import PROJECTION as WEIGHTS
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.fixtures.postgres import RunningPostgres
from tests.fixtures.projecting import project, projected, running, write
from tests.projectors.dumps import counted, drop_all, dump, expected_counts, outcome_rows


async def log_of(*events: Event) -> MemoryLog:
    log = MemoryLog()
    await write(log, *events)
    return log


async def spoil(log: MemoryLog, subject: str, body: bytes = b"no event") -> int:
    return (await log.append([Draft(subject, f"spoilt-{subject}", body)]))[0]


async def test_status_sums_up_what_was_projected(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(facts.discovered(0), facts.discovered(1), *facts.whole_cycle(1), *facts.whole_cycle(2)[:5])
    await project(log, engine, database_url)
    found = await status(log, database_url)
    assert (found.total_cycles, found.miners_evaluated) == (2, 2)
    assert (found.latest_completed_cycle, found.running_cycle) == (1, 2)
    assert found.latest_weights is not None
    assert found.latest_weights.weights == {0: "0.9", 1: "0.1"}
    assert [each.lag for each in found.projections] == [0] * len(PROJECTIONS)


async def test_status_of_an_empty_database_says_that_nothing_is_there(empty_database_url: str) -> None:
    found = await status(None, empty_database_url)
    assert [each.version for each in found.projections] == [None] * len(PROJECTIONS)


async def test_the_tables_are_created_where_there_are_none(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url, role="test", command_timeout_s=60)
    log = await log_of(*facts.whole_cycle())
    async with running(log, empty_database_url):
        await eventually(lambda: is_projected(empty_database_url, log))
    await engine.dispose()


async def is_projected(url: str, log: MemoryLog) -> bool:
    end = await log.last_sequence()
    return all(each.sequence == end for each in (await status(log, url)).projections)


async def test_events_that_come_while_it_runs_are_projected(engine: AsyncEngine, database_url: str) -> None:
    log = MemoryLog()
    async with running(log, database_url):
        for event in facts.whole_cycle():
            await projected(engine, await write(log, event))
    assert await counted(engine) == expected_counts(facts.whole_cycle())


async def test_two_racing_projectors_count_every_event_once(engine: AsyncEngine, database_url: str) -> None:
    events = large_cycle(episodes=100)
    log = await log_of(*events)
    async with running(log, database_url) as one, running(log, database_url) as other:
        await projected(engine, len(events))
        more = large_cycle(2)
        for event in more:
            await write(log, event)
        await projected(engine, len(events) + len(more))
        assert not one.done()
        assert not other.done()
    assert await counted(engine) == expected_counts([*events, *more])
    assert await outcome_rows(engine) == 8 * 4 * 110


async def test_an_event_that_cannot_be_read_stops_only_the_projection_it_concerns(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await log_of(*facts.whole_cycle(1))
    spoilt = await spoil(log, "evt.weights.2")
    end = await write(log, *facts.whole_cycle(2)[:-1])
    async with running(log, database_url):
        await projected(engine, end, ["cycles", "episodes", "miners"])
        with pytest.raises(ProjectionFailed, match=f"sequence {spoilt} .*MalformedEvent"):
            await wait_for(engine, "weights", end, timeout_s=60)
    (weights,) = (each for each in (await status(log, database_url)).projections if each.name == "weights")
    assert weights.sequence == spoilt - 1
    assert "evt.weights.2" in (weights.error or "")


async def test_a_row_that_the_database_refuses_stops_the_projection_right_before_it(
    engine: AsyncEngine, database_url: str
) -> None:
    events = large_cycle()
    log = await log_of(*events)
    stored = await log.at(100)
    assert stored is not None
    elsewhere = f"{stored.subject}.again"
    again = await spoil(log, elsewhere, orjson.dumps(orjson.loads(stored.body) | {"subject": elsewhere}))
    end = await write(log, *large_cycle(2))
    async with running(log, database_url):
        await projected(engine, end, ["cycles", "miners", "weights"])
        with pytest.raises(ProjectionFailed, match=f"sequence {again} .*UniqueViolation"):
            await wait_for(engine, "episodes", end, timeout_s=60)
    assert await outcome_rows(engine) == 8 * 4 * 10


@pytest.mark.parametrize(
    ("field", "value", "stopped"),
    [
        ("success", "yes", {"episodes"}),
        ("uid", "0", {"episodes"}),
        ("cycle", "1", {"cycles", "episodes", "miners"}),
        ("hotkey", None, {"miners"}),
    ],
)
async def test_an_outcome_with_a_wrong_field_stops_the_projections_that_need_it(
    engine: AsyncEngine, database_url: str, field: str, value: object, stopped: set[str]
) -> None:
    log = await log_of(facts.planned(), facts.completed(facts.key(uid=1)))
    document = orjson.loads(draft(begin(facts.completed(), source="/test")).body)
    document["data"][field] = value
    await spoil(log, document["subject"], orjson.dumps(document))
    await project(log, engine, database_url, failing=sorted(stopped))
    assert {each.name for each in (await status(log, database_url)).projections if each.error} == stopped


async def test_a_stopped_projection_is_tried_again_by_a_new_process(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(facts.planned())
    await spoil(log, "evt.weights.1")
    for _ in range(2):
        async with running(log, database_url):
            with pytest.raises(ProjectionFailed):
                await wait_for(engine, "weights", 2, timeout_s=60)


async def test_another_log_is_refused_and_said_so_in_the_status(engine: AsyncEngine, database_url: str) -> None:
    await project(await log_of(*facts.whole_cycle()), engine, database_url)
    before = await dump(engine)
    other = await log_of(*facts.whole_cycle(), *facts.whole_cycle(2))
    with pytest.raises(LogReplaced, match="kinitro replay --force"):
        await run_projectors(other, database_url, stop=asyncio.Event())
    after = await dump(engine)
    assert {name: rows for name, rows in after.items() if "checkpoint" not in name} == {
        name: rows for name, rows in before.items() if "checkpoint" not in name
    }
    assert all("made from log" in (each.error or "") for each in (await status(other, database_url)).projections)


async def test_a_log_that_lost_its_end_is_refused(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(*facts.whole_cycle())
    await project(log, engine, database_url)
    del log._stored[-3:]
    with pytest.raises(LogReplaced, match="the log ends at 9"):
        await run_projectors(log, database_url, stop=asyncio.Event())


async def test_a_log_with_another_event_in_the_same_place_is_refused(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(*facts.whole_cycle())
    await project(log, engine, database_url)
    log._stored[-1] = log._stored[-1]._replace(body=b"{}")
    with pytest.raises(LogReplaced, match="another event at sequence 12"):
        await run_projectors(log, database_url, stop=asyncio.Event())


async def test_a_log_that_is_replaced_while_it_is_followed_is_refused(engine: AsyncEngine, database_url: str) -> None:
    log = await log_of(*facts.whole_cycle())
    async with running(log, database_url) as task:
        await projected(engine, await log.last_sequence())
        log._stored[-1] = log._stored[-1]._replace(body=b"{}")
        await write(log, facts.planned(2))
        with pytest.raises(LogReplaced, match="another event at sequence 12"):
            await task
    assert (await counted(engine))["completed"] == 8


async def test_tables_dropped_under_a_running_projector_are_made_and_filled_again(
    engine: AsyncEngine, database_url: str
) -> None:
    log = await log_of(*large_cycle())
    async with running(log, database_url):
        await projected(engine, await log.last_sequence())
        await drop_all(engine)
        await projected(engine, await write(log, facts.planned(2)))
    assert await counted(engine) == expected_counts(large_cycle())


async def test_a_projection_far_behind_catches_up_beside_the_others(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projectors.runner.BEHIND_EVENTS_MIN", 100)
    log = await log_of(*large_cycle())
    stop = asyncio.Event()
    some = asyncio.create_task(Runner(log, engine, [CYCLES, MINERS, WEIGHTS], stop).run())
    await projected(engine, await log.last_sequence(), ["cycles", "miners", "weights"])
    stop.set()
    await some
    await project(log, engine, database_url)
    assert await outcome_rows(engine) == 8 * 4 * 10


async def test_postgresql_may_go_away_and_come_back(postgres_alone: RunningPostgres) -> None:
    url = postgres_alone.server.url
    await create_database(url)
    await init(url)
    log, events = MemoryLog(), large_cycle()
    await write(log, *events[:100])
    async with running(log, url) as task:
        await eventually(lambda: is_projected(url, log))
        postgres_alone.kill()
        await write(log, *events[100:])
        postgres_alone.start()
        await postgres_alone.server.wait_ready()
        await eventually(lambda: is_projected(url, log))
        assert not task.done()
    engine = open_engine(url, role="test", command_timeout_s=60)
    assert await counted(engine) == expected_counts(events)
    await engine.dispose()


async def test_it_ends_soon_when_it_is_told_to_although_the_log_is_away(
    engine: AsyncEngine, database_url: str, nats_alone: NatsProcess
) -> None:
    async with await connect(nats_alone.url, "tests") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        await write(log, facts.planned())
        stop = asyncio.Event()
        task = asyncio.create_task(run_projectors(log, database_url, stop=stop))
        await projected(engine, 1)
        nats_alone.kill()
        await eventually(lambda: not connection.client.is_connected)
        stop.set()
        await asyncio.wait_for(task, STOP_GRACE_S + 15)  # the log's own patience is longer


async def test_it_waits_for_a_database_that_is_away_when_it_starts(postgres_alone: RunningPostgres) -> None:
    url = postgres_alone.server.url
    await create_database(url)
    log = await log_of(*facts.whole_cycle())
    postgres_alone.stop()
    async with running(log, url):
        postgres_alone.start()
        await postgres_alone.server.wait_ready()
        await eventually(lambda: is_projected(url, log))


async def test_waiting_before_any_projector_has_begun_is_no_error_of_the_database(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url, role="test", command_timeout_s=60)
    with pytest.raises(ProjectionBehind, match="at sequence 0"):
        await wait_for(engine, EPISODES.name, 1, timeout_s=0.05)
    await engine.dispose()


async def test_waiting_for_a_sequence_that_does_not_come_says_where_the_projection_is(engine: AsyncEngine) -> None:
    with pytest.raises(ProjectionBehind, match="episodes is at sequence 0, not at 7"):
        await wait_for(engine, EPISODES.name, 7, timeout_s=0.05)
