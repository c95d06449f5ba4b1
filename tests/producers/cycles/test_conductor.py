"""One cycle, from nothing to its end: undisturbed, resumed, late, and thin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events import subjects
from events.connection import Connection
from events.cycles import CycleAbandoned, CycleSealed
from events.episodes import AbandonCode, EpisodeAbandoned
from events.ids import CycleId
from events.memory import MemoryQueue
from producers.cycles.errors import ForeignSecret, NothingToEvaluate, OutOfTurn, UnfairTerms
from producers.progress import Advanced, Ended, Planned, Progress, Queued, Seeded
from tests.controls import facts
from tests.eventually import eventually
from tests.producers.driving import (
    CYCLE,
    HandClock,
    JetStreamStage,
    MemoryStage,
    Stage,
    append,
    check_whole,
    drive,
    events_of,
    fold,
    queued,
    settings,
    stop,
    story,
    with_miners,
    worker,
)


async def sealed(stage: Stage, **how: Any) -> None:
    async with worker(stage):
        await drive(stage, **how)


class Conducting:
    """What holds on any log and queue: `stage` has three registered miners."""

    async def test_a_cycle_runs_from_nothing_to_its_seal(self, stage: Stage) -> None:
        await sealed(stage)
        await check_whole(stage.log)

    async def test_progress_is_told(self, stage: Stage) -> None:
        told: list[Progress] = []
        await sealed(stage, told=told)
        counts = facts.sealed().outcomes.model_copy(update={"completed": 12})
        assert told[:2] == [Planned(CYCLE, 3, 2, 12), Seeded(CYCLE, 51)]
        assert sum(it.tasks for it in told if isinstance(it, Queued)) == 12
        assert [it for it in told if isinstance(it, Advanced)][-1] == Advanced(CYCLE, 12, 12)
        assert told[-1] == Ended(CYCLE, counts, None)

    async def test_the_plan_comes_before_the_seed_and_the_seed_before_any_task(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage))
        await eventually(queued(stage))
        assert [it.subject for it in await events_of(stage.log, "evt.cycle.>")] == [
            subjects.plan(CYCLE),
            subjects.seed(CYCLE),
        ]
        await stop(run)

    async def test_another_log_with_the_same_key_block_and_roster_tells_the_same_story(self, stage: Stage) -> None:
        await sealed(stage)
        other = MemoryStage()
        await append(other.log, *(facts.discovered(uid) for uid in (2, 0, 1)))
        await sealed(other)
        assert await story(other.log) == await story(stage.log)

    async def test_an_ended_cycle_is_left_as_it_is(self, stage: Stage) -> None:
        await sealed(stage)
        before = await events_of(stage.log)
        end = await drive(stage)
        assert await events_of(stage.log) == before
        assert end == before[-1]

    async def test_a_plan_that_is_in_the_log_is_adopted(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage, using=settings(episodes=3)))
        await eventually(queued(stage))
        await stop(run)
        await sealed(stage, using=settings(episodes=1))
        assert (await fold(stage.log)).planned == 18

    async def test_a_resumed_cycle_queues_only_what_has_no_outcome(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage))
        await eventually(queued(stage, 12))
        await stop(run)
        tasks = await stage.tasks()
        done, left = tasks[:5], tasks[5:]
        await append(stage.log, *(facts.completed(task.key) for task in done))
        lost = MemoryQueue()
        again = asyncio.create_task(drive(stage, queue=lost))
        await eventually(lambda: len(lost.waiting) > 0)
        assert set(lost.waiting) == {task.key.id for task in left}
        await stop(again)

    async def test_lost_tasks_are_queued_again(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage, using=settings(requeue_after_s=0.02)))
        await eventually(queued(stage, 12))
        for task in await stage.tasks():
            await stage.remove(task)
        async with worker(stage):
            await run
        await check_whole(stage.log)

    async def test_tasks_left_over_are_purged_at_the_end(self, stage: Stage) -> None:
        clock = HandClock()
        run = asyncio.create_task(drive(stage, clock=clock, using=settings(requeue_after_s=0.02)))
        await eventually(queued(stage, 12))
        clock.turn(3600)
        await run
        assert await stage.tasks() == []

    async def test_at_the_deadline_what_is_left_is_abandoned(self, stage: Stage) -> None:
        clock = HandClock()
        run = asyncio.create_task(drive(stage, clock=clock, using=settings(requeue_after_s=0.02)))
        await eventually(queued(stage, 12))
        done, late = (await stage.tasks())[:8], (await stage.tasks())[8:]
        await append(stage.log, *(facts.completed(task.key) for task in done))
        await append(stage.log, facts.attempt_failed(late[0].key), facts.attempt_failed(late[0].key, attempt=2))
        clock.turn(3600)
        end = (await run).event
        assert isinstance(end, CycleSealed)
        assert end.outcomes == facts.sealed().outcomes.model_copy(update={"completed": 8, "abandoned": 4})
        abandoned = [it.event for it in await events_of(stage.log) if isinstance(it.event, EpisodeAbandoned)]
        assert {it.key for it in abandoned} == {task.key for task in late}
        assert {it.code for it in abandoned} == {AbandonCode.CYCLE_DEADLINE}
        assert {it.key: it.attempts for it in abandoned if it.attempts} == {late[0].key: 2}

    async def test_a_deadline_that_passed_while_nobody_ran_ends_the_cycle_too(self, stage: Stage) -> None:
        clock = HandClock()
        run = asyncio.create_task(drive(stage, clock=clock))
        await eventually(queued(stage, 12))
        await stop(run)
        clock.turn(3600)
        end = await drive(stage, clock=clock)
        assert isinstance(end.event, CycleAbandoned)

    async def test_below_the_coverage_the_cycle_is_abandoned_and_its_secret_revealed(self, stage: Stage) -> None:
        clock = HandClock()
        using = settings(requeue_after_s=0.02, coverage_min="0.75")
        run = asyncio.create_task(drive(stage, clock=clock, using=using))
        await eventually(queued(stage, 12))
        await append(stage.log, *(facts.completed(task.key) for task in (await stage.tasks())[:8]))
        clock.turn(3600)
        end = (await run).event
        assert isinstance(end, CycleAbandoned)
        assert end.detail == "8 of 12 planned episodes could be counted; the rules ask for a share of at least 0.75"
        assert len(end.secret) == 64

    async def test_exactly_the_coverage_is_enough(self, stage: Stage) -> None:
        clock = HandClock()
        using = settings(requeue_after_s=0.02, coverage_min="0.75")
        run = asyncio.create_task(drive(stage, clock=clock, using=using))
        await eventually(queued(stage, 12))
        await append(stage.log, *(facts.forfeited(task.key) for task in (await stage.tasks())[:9]))
        clock.turn(3600)
        assert isinstance((await run).event, CycleSealed)

    async def test_what_comes_after_the_seal_changes_nothing(self, stage: Stage) -> None:
        await sealed(stage)
        end = await drive(stage)
        await append(stage.log, facts.attempt_failed())
        assert await drive(stage) == end

    async def test_nobody_to_evaluate_is_said_and_appends_nothing(self) -> None:
        stage = MemoryStage()
        with pytest.raises(NothingToEvaluate, match="cycle 1 has nobody to evaluate"):
            await drive(stage)
        assert await stage.log.last_sequence() == 0

    async def test_a_cycle_out_of_turn_is_refused(self, stage: Stage) -> None:
        with pytest.raises(OutOfTurn, match="cycle 2 cannot begin: cycle 1 has not ended"):
            await drive(stage, cycle=CycleId(2))

    async def test_a_plan_by_another_master_key_is_refused(self, stage: Stage) -> None:
        await append(stage.log, facts.planned())
        with pytest.raises(ForeignSecret, match="restore the key with which it was planned"):
            await drive(stage)

    async def test_a_plan_that_shows_the_simulators_state_is_refused_on_mainnet(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage))
        await eventually(queued(stage))
        await stop(run)
        mainnet = settings().model_copy(update={"network": "finney"})
        with pytest.raises(UnfairTerms, match="refused on network 'finney'"):
            await drive(stage, using=mainnet)


class TestInMemory(Conducting):
    @pytest.fixture
    async def stage(self) -> Stage:
        return await with_miners(MemoryStage())


class TestOnJetStream(Conducting):
    @pytest.fixture
    async def stage(self, nats: Connection) -> Stage:
        return await with_miners(JetStreamStage(nats))
