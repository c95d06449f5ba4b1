"""A cycle with a miner that forfeits one episode after the other: undisturbed, with crashes, with two conductors."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import count

import pytest

from events import subjects
from events.connection import Connection
from events.cycles import CycleSealed
from events.episodes import EpisodeCompleted, EpisodeForfeited, ForfeitCode
from events.ids import Uid
from events.log import EventLog
from events.tasks import EpisodeTask
from producers.progress import GivenUp, Probed, Progress, SetAside, TakenBack
from tests.controls import facts
from tests.eventually import eventually
from tests.producers.driving import (
    Crash,
    Fuse,
    FusedLog,
    FusedQueue,
    JetStreamStage,
    MemoryStage,
    Stage,
    append,
    check_whole,
    drive,
    events_of,
    fold,
    outcome_of,
    queued,
    settings,
    stop,
    with_miners,
    worker,
)

LIMIT = 3
EACH = 12
"""Episodes of a miner: six in each of two environments."""
USING = settings(
    episodes=EACH // 2,
    requeue_after_s=0.2,
    terms=facts.TERMS.model_copy(update={"forfeits_in_row_max": LIMIT}),
)
DEAD, GOOD = Uid(0), (Uid(1), Uid(2))


def dead(task: EpisodeTask) -> EpisodeCompleted | EpisodeForfeited:
    """Miner 0 never answers."""
    return facts.forfeited(task.key) if task.uid == DEAD else outcome_of(task)


class Failing:
    """Miner 0 fails up to the limit, and no worker is so quick that it runs another before the probe is told."""

    def __init__(self, told: list[Progress], *, recovers: bool) -> None:
        self._left = LIMIT
        self._told = told
        self._recovers = recovers

    def __call__(self, task: EpisodeTask) -> EpisodeCompleted | EpisodeForfeited | None:
        if task.uid != DEAD:
            return outcome_of(task)
        if self._left:
            self._left -= 1
            return facts.forfeited(task.key)
        if not any(isinstance(it, Probed) for it in self._told):
            return None
        return outcome_of(task) if self._recovers else facts.forfeited(task.key)


async def codes_of(log: EventLog, uid: Uid = DEAD) -> Counter[str]:
    """How a miner's episodes ended: by code of the forfeit, or by type."""
    ended = [it.event for it in await events_of(log, subjects.OUTCOMES)]
    return Counter(
        it.code.value if isinstance(it, EpisodeForfeited) else it.type.rpartition(".")[2]
        for it in ended
        if isinstance(it, EpisodeForfeited | EpisodeCompleted) and it.uid == uid
    )


async def check_dead(log: EventLog) -> None:
    """Asserts that miner 0 was given up, that each episode has one outcome, and that the others noticed nothing."""
    await check_whole(log)
    codes = await codes_of(log)
    assert set(codes) == {ForfeitCode.DEADLINE_MISSED.value, ForfeitCode.GIVEN_UP.value}
    assert codes.total() == EACH
    for uid in GOOD:
        assert await codes_of(log, uid) == {"completed": EACH}


async def tasks_of(stage: Stage) -> Counter[Uid]:
    """How many tasks each miner has on the queue."""
    return Counter(task.uid for task in await stage.tasks())


async def append_all(log: EventLog, tasks: list[EpisodeTask], *, forfeit: bool = False) -> None:
    await append(log, *((facts.forfeited if forfeit else facts.completed)(task.key) for task in tasks))


class GivingUp:
    """What holds on any log and queue: `stage` has three registered miners."""

    async def test_a_dead_miner_is_set_aside_probed_and_given_up(self, stage: Stage) -> None:
        told: list[Progress] = []
        async with worker(stage, Failing(told, recovers=False), at_once=1):
            end = await drive(stage, using=USING, told=told)
        await check_dead(stage.log)
        assert isinstance(end.event, CycleSealed)
        assert end.event.outcomes.forfeited == EACH
        news = [it for it in told if isinstance(it, SetAside | Probed | TakenBack | GivenUp)]
        assert [type(it) for it in news] == [SetAside, Probed, GivenUp]

    async def test_a_miner_that_is_back_at_the_end_has_the_rest_run(self, stage: Stage) -> None:
        told: list[Progress] = []
        async with worker(stage, Failing(told, recovers=True), at_once=1):
            await drive(stage, using=USING, told=told)
        await check_whole(stage.log)
        assert [type(it) for it in told if isinstance(it, SetAside | Probed | TakenBack)] == [
            SetAside,
            Probed,
            TakenBack,
        ]
        assert await codes_of(stage.log) == {"deadline_missed": LIMIT, "completed": EACH - LIMIT}

    async def test_tasks_of_a_miner_set_aside_leave_the_queue_until_its_probe(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage, using=USING))
        await eventually(queued(stage, 3 * EACH))
        tasks = await stage.tasks()
        await append_all(stage.log, [task for task in tasks if task.uid == DEAD][:LIMIT], forfeit=True)
        await eventually(lambda: _holds(stage, {1: EACH, 2: EACH}))
        others = [task for task in tasks if task.uid != DEAD]
        await append_all(stage.log, others)
        for task in others:
            await stage.remove(task)
        await eventually(lambda: _holds(stage, {DEAD: 1}))
        await append_all(stage.log, await stage.tasks())
        await eventually(lambda: _holds(stage, {DEAD: EACH - LIMIT}))
        await stop(run)

    async def test_a_conductor_that_was_away_finds_who_is_set_aside(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage, using=USING))
        await eventually(queued(stage, 3 * EACH))
        await stop(run)
        await append_all(stage.log, [it for it in await stage.tasks() if it.uid == DEAD][:LIMIT], forfeit=True)
        again = asyncio.create_task(drive(stage, using=USING))
        await eventually(lambda: _holds(stage, {1: EACH, 2: EACH}))
        await stop(again)

    async def test_a_lost_probe_is_queued_again(self, stage: Stage) -> None:
        run = asyncio.create_task(drive(stage, using=USING))
        await eventually(queued(stage, 3 * EACH))
        tasks = await stage.tasks()
        await append_all(stage.log, [task for task in tasks if task.uid == DEAD][:LIMIT], forfeit=True)
        await append_all(stage.log, [task for task in tasks if task.uid != DEAD])
        for task in tasks:
            await stage.remove(task)
        await eventually(lambda: _holds(stage, {DEAD: 1}))
        (probe,) = await stage.tasks()
        await stage.remove(probe)
        await eventually(lambda: _holds(stage, {DEAD: 1}))
        assert await stage.tasks() == [probe]
        await stop(run)

    async def test_two_conductors_give_up_one_miner_once(self, stage: Stage) -> None:
        async with worker(stage, dead, at_once=1):
            ends = await asyncio.gather(*(drive(stage, using=USING) for _ in range(2)))
        assert ends[0] == ends[1]
        await check_dead(stage.log)


async def _holds(stage: Stage, wanted: dict[int, int]) -> bool:
    return await tasks_of(stage) == wanted


class TestInMemory(GivingUp):
    @pytest.fixture
    async def stage(self) -> Stage:
        return await with_miners(MemoryStage())


class TestOnJetStream(GivingUp):
    @pytest.fixture
    async def stage(self, nats: Connection) -> Stage:
        return await with_miners(JetStreamStage(nats))


async def lost_chance() -> Stage:
    """A cycle in which the probe of miner 0 has just failed, with eight of its episodes left."""
    stage = await with_miners(MemoryStage())
    run = asyncio.create_task(drive(stage, using=USING))
    await eventually(queued(stage, 3 * EACH))
    tasks = await stage.tasks()
    await stop(run)
    await append_all(stage.log, [task for task in tasks if task.uid == DEAD][:LIMIT], forfeit=True)
    await append_all(stage.log, [task for task in tasks if task.uid != DEAD])
    (key,) = [key for key in (await fold(stage.log)).missing() if (await fold(stage.log)).wanted(key)]
    await append(stage.log, facts.forfeited(key))
    return stage


async def given_up(log: EventLog) -> list[dict[str, object]]:
    """What was said of the episodes that were not run."""
    events = [it.event for it in await events_of(log, subjects.OUTCOMES)]
    return [it.model_dump() for it in events if isinstance(it, EpisodeForfeited) and it.worker == "conductor"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_while_giving_up_changes_nothing(after: bool) -> None:
    stage = await lost_chance()
    await drive(stage, using=USING)
    expected = await given_up(stage.log)
    assert len(expected) == EACH - LIMIT - 1
    for calls in count():
        stage, fuse = await lost_chance(), Fuse(calls, after=after)
        try:
            await drive(stage, using=USING, log=FusedLog(stage.log, fuse), queue=FusedQueue(stage.queue, fuse))
        except Crash:
            await drive(stage, using=USING)
        assert await given_up(stage.log) == expected, f"after a crash at call {calls}"
        if not fuse.blown:
            break
    assert calls >= (3 if after else 4)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_with_a_dead_miner_changes_nothing(after: bool) -> None:
    for calls in count():
        stage, fuse = await with_miners(MemoryStage()), Fuse(calls, after=after)
        async with worker(stage, dead, at_once=2):
            try:
                await drive(stage, using=USING, log=FusedLog(stage.log, fuse), queue=FusedQueue(stage.queue, fuse))
            except Crash:
                await drive(stage, using=USING)
        await check_dead(stage.log)
        if not fuse.blown:
            break
    assert calls >= (8 if after else 20)


async def test_an_outcome_that_arrives_while_its_miner_is_given_up_stays() -> None:
    stage = await lost_chance()
    late = next((await fold(stage.log)).given_up())

    class Racing(FusedLog):
        async def append(self, drafts):  # type: ignore[no-untyped-def]
            if len(drafts) == EACH - LIMIT - 1:
                await append(stage.log, facts.completed(late))
            return await super().append(drafts)

    await drive(stage, using=USING, log=Racing(stage.log, Fuse(10_000)))
    assert await codes_of(stage.log) == {"deadline_missed": LIMIT + 1, "given_up": EACH - LIMIT - 2, "completed": 1}


async def test_a_plan_without_a_limit_runs_everything() -> None:
    stage = await with_miners(MemoryStage())
    async with worker(stage, dead, at_once=1):
        await drive(stage, using=settings(episodes=EACH // 2))
    assert await codes_of(stage.log) == {"deadline_missed": EACH}
