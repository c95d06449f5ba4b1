"""A conductor that dies anywhere, is started again, or is not alone: the cycle is the same."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from events import subjects
from events.connection import Connection, connect
from events.cycles import CycleAbandoned, CycleSealed
from events.log import EventLog, LogUnavailable
from events.streams import ensure_streams
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess
from tests.producers.driving import (
    Crash,
    Fuse,
    FusedLog,
    FusedQueue,
    HandClock,
    JetStreamStage,
    MemoryStage,
    Stage,
    append,
    check_whole,
    drive,
    fold,
    queued,
    settings,
    stop,
    story,
    with_miners,
    worker,
)


async def undisturbed() -> dict[str, object]:
    stage = await with_miners(MemoryStage())
    async with worker(stage):
        await drive(stage)
    return await story(stage.log)


async def life(stage: Stage, fuse: Fuse, clock: HandClock | None = None) -> bool:
    """One life of a conductor; whether it came to the end."""
    log, queue = FusedLog(stage.log, fuse), FusedQueue(stage.queue, fuse)
    try:
        await drive(stage, log=log, queue=queue, clock=clock, using=settings(requeue_after_s=0.02))
    except (Crash, asyncio.CancelledError):
        return False
    return True


async def late_stage(*, done: int) -> tuple[Stage, HandClock]:
    """A cycle whose deadline has passed, with so many of its twelve outcomes."""
    stage, clock = await with_miners(MemoryStage()), HandClock()
    run = asyncio.create_task(drive(stage, clock=clock))
    await eventually(queued(stage, 12))
    await stop(run)
    await append(stage.log, *(facts.completed(task.key) for task in (await stage.tasks())[:done]))
    clock.turn(3600)
    return stage, clock


@pytest.mark.parametrize("error", [Crash, asyncio.CancelledError])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_changes_nothing(error: type[Exception], after: bool) -> None:
    expected = await undisturbed()
    for calls in count():
        stage, fuse = await with_miners(MemoryStage()), Fuse(calls, error, after=after)
        async with worker(stage):
            await life(stage, fuse)
            await drive(stage)
        assert await story(stage.log) == expected, f"after a crash at call {calls}"
        await check_whole(stage.log)
        if not fuse.blown:
            break
    assert calls >= (4 if after else 8)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_log_that_does_not_answer_once_changes_nothing(after: bool) -> None:
    expected = await undisturbed()
    for calls in count():
        stage, fuse = await with_miners(MemoryStage()), Fuse(calls, LogUnavailable, after=after)
        async with worker(stage):
            assert await life(stage, fuse)
        assert await story(stage.log) == expected, f"after no answer at call {calls}"
        if not fuse.blown:
            break
    assert calls >= (4 if after else 8)


async def test_many_short_lives_are_as_good_as_one() -> None:
    stage = await with_miners(MemoryStage())
    async with worker(stage):
        lives = 1
        while not await life(stage, Fuse(6)):
            lives += 1
    assert lives > 1
    assert await story(stage.log) == await undisturbed()


@pytest.mark.parametrize(("done", "kind"), [(8, CycleSealed), (3, CycleAbandoned)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_past_the_deadline_changes_nothing(done: int, kind: type, after: bool) -> None:
    stage, clock = await late_stage(done=done)
    await drive(stage, clock=clock)
    expected = await story(stage.log)
    for calls in count():
        stage, clock = await late_stage(done=done)
        fuse = Fuse(calls, after=after)
        await life(stage, fuse, clock)
        end = await drive(stage, clock=clock)
        assert isinstance(end.event, kind)
        assert await story(stage.log) == expected, f"after a crash at call {calls}"
        if not fuse.blown:
            break
    assert calls >= (3 if after else 5)


async def test_what_is_left_is_abandoned_in_batches_that_the_log_can_take() -> None:
    stage, clock = await with_miners(MemoryStage()), HandClock()
    using = settings(episodes=200, coverage_min="0")
    run = asyncio.create_task(drive(stage, clock=clock, using=using))
    await eventually(queued(stage, 1))
    await stop(run)
    clock.turn(3600)
    end = await drive(stage, clock=clock, using=using)
    assert isinstance(end.event, CycleSealed)
    assert end.event.outcomes.abandoned == 1_200


class Racing:
    """Several at once on any log and queue; `stage` has three registered miners."""

    async def test_conductors_at_once_give_one_cycle(self, stage: Stage) -> None:
        async with worker(stage):
            ends = await asyncio.gather(*(drive(stage) for _ in range(3)))
        assert ends[0] == ends[1] == ends[2]
        assert await story(stage.log) == await undisturbed()
        await check_whole(stage.log)

    async def test_outcomes_that_arrive_at_the_deadline_stay(self, stage: Stage) -> None:
        clock = HandClock()
        using = settings(episodes=50, requeue_after_s=0.02, coverage_min="0")
        runs = [asyncio.create_task(drive(stage, clock=clock, using=using)) for _ in range(2)]
        async with worker(stage):
            await asyncio.wait_for(outcomes_reach(stage.log, 20), 60)
            clock.turn(3600)
            ends = await asyncio.gather(*runs)
        assert ends[0] == ends[1]
        await check_whole(stage.log)
        assert (await fold(stage.log)).done == 300


async def outcomes_reach(log: EventLog, number: int) -> None:
    async for batch in log.follow(subject=subjects.OUTCOMES):
        number -= len(batch)
        if number <= 0:
            return


class TestRacingInMemory(Racing):
    @pytest.fixture
    async def stage(self) -> Stage:
        return await with_miners(MemoryStage())


class TestRacingOnJetStream(Racing):
    @pytest.fixture
    async def stage(self, nats: Connection) -> Stage:
        return await with_miners(JetStreamStage(nats))


async def test_a_server_killed_in_the_middle_of_a_cycle_changes_nothing(nats_alone: NatsProcess) -> None:
    async with await connect(nats_alone.url, "tests") as connection:
        await ensure_streams(connection)
        stage = await with_miners(JetStreamStage(connection))
        async with worker(stage):
            run = asyncio.create_task(drive(stage, using=settings(episodes=100, requeue_after_s=0.5)))
            await asyncio.wait_for(outcomes_reach(stage.log, 50), 60)
            nats_alone.kill()
            nats_alone.start()
            await run
        await check_whole(stage.log)
