"""When cycles begin, and that restarts and rivals change nothing about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import subjects
from events.codec import decode_as
from events.connection import Connection
from events.cycles import CyclePlanned
from events.envelope import RecordedEvent
from events.ids import CycleId
from events.log import LogUnavailable
from events.memory import MemoryLog
from events.newest import newest_cycle
from producers.cycles.errors import NothingToEvaluate
from producers.cycles.scheduler import run_cycle_once, run_scheduler
from producers.cycles.settings import SchedulerSettings
from producers.cycles.state import CycleEnd
from producers.discovery.source import MinerSource, Snapshot, SourceTrouble
from producers.progress import CycleIdle, CyclePending, DiscoveryTrouble, Ended, MinersChanged, Progress
from tests.controls import facts
from tests.eventually import eventually
from tests.producers.driving import (
    Crash,
    Fuse,
    FusedLog,
    FusedQueue,
    HandClock,
    JetStreamStage,
    MemoryStage,
    Miners,
    Stage,
    append,
    check_whole,
    events_of,
    miner,
    queued,
    settings,
    stop,
    story,
    worker,
)

FEW = tuple(miner(uid) for uid in range(3))


class Troubled:
    """A source that has nothing but trouble."""

    async def snapshot(self) -> Snapshot:
        raise SourceTrouble("roster.toml:3: no good")


async def once(
    stage: Stage,
    until: int,
    *,
    clock: HandClock | None = None,
    fuse: Fuse | None = None,
    miners: MinerSource | None = None,
    told: list[Progress] | None = None,
) -> RecordedEvent[CycleEnd]:
    it, blown = clock or HandClock(), fuse or Fuse(1_000_000)
    return await run_cycle_once(
        CycleId(until),
        log=FusedLog(stage.log, blown),
        queue=FusedQueue(stage.queue, blown),
        blocks=it.blocks(),
        miners=miners or Miners(*FEW),
        settings=settings(),
        report=(told if told is not None else []).append,
        clock=it,
    )


@asynccontextmanager
async def scheduler(
    stage: Stage,
    clock: HandClock,
    told: list[Progress],
    *,
    miners: MinerSource | None = None,
    using: SchedulerSettings | None = None,
) -> AsyncIterator[None]:
    task = asyncio.create_task(
        run_scheduler(
            log=stage.log,
            queue=stage.queue,
            blocks=clock.blocks(),
            miners=miners or Miners(*FEW),
            settings=using or settings(),
            report=told.append,
            clock=clock,
        )
    )
    try:
        yield
    finally:
        await stop(task)


async def plans(stage: Stage) -> list[RecordedEvent[CyclePlanned]]:
    return [
        decode_as(CyclePlanned, stored) async for batch in stage.log.read(subject=subjects.PLANS) for stored in batch
    ]


def ended(told: list[Progress]) -> list[int]:
    return [it.cycle for it in told if isinstance(it, Ended)]


@given(st.integers(0, 40))
async def test_the_newest_cycle_is_the_last_with_a_plan(number: int) -> None:
    log = MemoryLog()
    await append(log, *(facts.planned(cycle) for cycle in range(1, number + 1)))
    assert await newest_cycle(log) == number


class TestUntilACycleHasEnded:
    async def test_one_cycle_runs_from_an_empty_log(self) -> None:
        stage = MemoryStage()
        async with worker(stage):
            end = await once(stage, 1)
        assert end.subject == subjects.seal(CycleId(1))
        await check_whole(stage.log)

    async def test_the_cycles_before_it_run_first(self) -> None:
        stage, told = MemoryStage(), list[Progress]()
        async with worker(stage):
            await once(stage, 3, told=told)
        assert ended(told) == [1, 2, 3]

    async def test_again_it_changes_nothing(self) -> None:
        stage = MemoryStage()
        async with worker(stage):
            end = await once(stage, 1)
        before = await stage.log.last_sequence()
        assert await once(stage, 1) == end
        assert await stage.log.last_sequence() == before

    async def test_a_cycle_before_the_newest_is_told_as_it_is(self) -> None:
        stage = MemoryStage()
        async with worker(stage):
            await once(stage, 2)
        assert (await once(stage, 1)).subject == subjects.seal(CycleId(1))

    async def test_a_running_cycle_is_continued(self) -> None:
        stage = MemoryStage()
        run = asyncio.create_task(once(stage, 1))
        await eventually(queued(stage, 12))
        await stop(run)
        async with worker(stage):
            await once(stage, 2)
        assert [it.event.cycle for it in await plans(stage)] == [1, 2]

    async def test_miners_are_discovered_before_each_plan(self) -> None:
        stage, miners = MemoryStage(), Miners(FEW[0])
        async with worker(stage):
            await once(stage, 1, miners=miners)
            miners.miners = FEW
            await once(stage, 2, miners=miners)
        assert [len(it.event.roster) for it in await plans(stage)] == [1, 3]

    async def test_trouble_with_the_roster_leaves_the_miners_that_the_log_knows(self) -> None:
        stage, told = MemoryStage(), list[Progress]()
        async with worker(stage):
            await once(stage, 1)
            await once(stage, 2, miners=Troubled(), told=told)
        assert told[0] == DiscoveryTrouble("roster.toml:3: no good")
        assert [len(it.event.roster) for it in await plans(stage)] == [3, 3]

    async def test_nobody_to_evaluate_is_an_error(self) -> None:
        with pytest.raises(NothingToEvaluate):
            await once(MemoryStage(), 1, miners=Miners())

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash, LogUnavailable])
    async def test_dying_at_any_call_changes_nothing(self, error: type[Exception], after: bool) -> None:
        stage = MemoryStage()
        async with worker(stage):
            await once(stage, 2)
        expected = [await story(stage.log, CycleId(cycle)) for cycle in (1, 2, 3)]
        for calls in count():
            stage, clock, fuse = MemoryStage(), HandClock(), Fuse(calls, error, after=after)
            async with worker(stage):
                try:
                    await once(stage, 2, clock=clock, fuse=fuse)
                except Crash:
                    await once(stage, 2, clock=clock)
            assert [await story(stage.log, CycleId(cycle)) for cycle in (1, 2, 3)] == expected, f"call {calls}"
            if not fuse.blown:
                break
        assert calls > 10


class Scheduling:
    """What holds on any log and queue; `stage` is empty."""

    async def test_cycles_follow_at_the_interval_from_plan_to_plan(self, stage: Stage) -> None:
        clock, told = HandClock(), list[Progress]()
        async with worker(stage), scheduler(stage, clock, told):
            await eventually(lambda: CyclePending in map(type, told))
            [first] = await plans(stage)
            assert told[-1] == CyclePending(CycleId(2), first.time + timedelta(seconds=3600))
            clock.turn(3600)
            await eventually(lambda: ended(told) == [1, 2])
        assert [it.event.cycle for it in await plans(stage)][:2] == [1, 2]

    async def test_a_restart_keeps_the_rhythm(self, stage: Stage) -> None:
        clock, told, again = HandClock(), list[Progress](), list[Progress]()
        async with worker(stage):
            async with scheduler(stage, clock, told):
                await eventually(lambda: CyclePending in map(type, told))
            clock.turn(100)
            async with scheduler(stage, clock, again):
                await eventually(lambda: CyclePending in map(type, again))
        assert again == told[-1:]

    async def test_a_restart_continues_the_running_cycle(self, stage: Stage) -> None:
        clock, told = HandClock(), list[Progress]()
        async with scheduler(stage, clock, told):
            await eventually(queued(stage, 12))
        clock.turn(1000)
        async with worker(stage), scheduler(stage, clock, told):
            await eventually(lambda: ended(told)[:1] == [1])
        await check_whole(stage.log)

    async def test_tasks_left_by_a_cycle_that_has_ended_are_dropped(self, stage: Stage) -> None:
        await append(stage.log, facts.planned(), facts.sealed())
        await stage.queue.put([facts.task()])
        async with scheduler(stage, HandClock(), []):
            await eventually(lambda: _is_empty(stage))

    async def test_schedulers_at_once_give_one_row_of_cycles(self, stage: Stage) -> None:
        clocks, told = [HandClock(), HandClock()], list[Progress]()
        using = settings(eval_interval_s=0)
        one, other = (scheduler(stage, clock, told, using=using) for clock in clocks)
        async with worker(stage), one, other:
            await eventually(lambda: 3 in ended(told))
        for cycle in (1, 2, 3):
            await check_whole(stage.log, CycleId(cycle))

    async def test_without_miners_cycles_wait_for_them(self, stage: Stage) -> None:
        clock, told, miners = HandClock(), list[Progress](), Miners()
        async with worker(stage), scheduler(stage, clock, told, miners=miners):
            await eventually(lambda: CycleIdle in map(type, told))
            miners.miners = FEW
            await eventually(lambda: ended(told)[:1] == [1])
        assert MinersChanged(3, 0, 0) in told

    async def test_miners_are_followed_while_a_cycle_runs(self, stage: Stage) -> None:
        clock, told, miners = HandClock(), list[Progress](), Miners(*FEW)
        async with scheduler(stage, clock, told, miners=miners):
            await eventually(queued(stage, 12))
            miners.miners = (FEW[0], miner(1, revision="new"), miner(4))
            await eventually(lambda: MinersChanged(1, 1, 1) in told)
        assert len(await events_of(stage.log, subjects.MINERS)) == 6

    async def test_the_same_trouble_is_told_once(self, stage: Stage) -> None:
        clock, told = HandClock(), list[Progress]()
        async with scheduler(stage, clock, told, miners=Troubled()):
            await eventually(lambda: sum(isinstance(it, CycleIdle) for it in told) >= 4)
        assert sum(isinstance(it, DiscoveryTrouble) for it in told) == 1


async def _is_empty(stage: Stage) -> bool:
    return await stage.queue.pending() == 0


class TestSchedulingInMemory(Scheduling):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


class TestSchedulingOnJetStream(Scheduling):
    @pytest.fixture
    async def stage(self, nats: Connection) -> Stage:
        return JetStreamStage(nats)


async def test_what_a_cycle_raises_ends_the_scheduler() -> None:
    stage, clock = MemoryStage(), HandClock()
    await append(stage.log, facts.planned())  # by another master key
    with pytest.raises(Exception, match="restore the key with which it was planned"):
        await asyncio.wait_for(
            run_scheduler(
                log=stage.log,
                queue=stage.queue,
                blocks=clock.blocks(),
                miners=Miners(*FEW),
                settings=settings(),
                report=lambda _: None,
                clock=clock,
            ),
            60,
        )
