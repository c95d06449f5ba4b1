"""Miners whose endpoints only the backend can read are evaluated like all others, and only with its key."""

from __future__ import annotations

from uuid import UUID

import pytest

from events.cycles import CycleSealed
from events.episodes import EpisodeCompleted
from events.event import Event
from events.ids import Uid
from events.memory import MemoryQueue
from events.sealed import EndpointKey
from events.tasks import EpisodeTask
from producers.cycles.errors import NothingToEvaluate, SealedEndpoints
from producers.progress import LeftOut, Progress
from tests.controls import facts
from tests.producers.driving import (
    CYCLE,
    Crash,
    Fuse,
    FusedQueue,
    HandClock,
    MemoryStage,
    append,
    check_whole,
    drive,
    events_of,
    fold,
    settings,
    with_miners,
    worker,
)

DEPLOYMENT = UUID("95edf2b6-e18b-400a-8398-5573df10e5e4")
OPENING = settings(endpoint_key=facts.ENDPOINT_KEY)
OTHER_KEY = EndpointKey(bytes(range(96, 128)))
SEALED = Uid(1)


def sealed_miner(uid: int = SEALED) -> Event:
    return facts.discovered(uid).model_copy(update={"commitment": facts.sealed_commitment(DEPLOYMENT, uid)})


async def stage_with_sealed_miner() -> MemoryStage:
    stage = MemoryStage()
    await append(stage.log, facts.discovered(0), sealed_miner())
    return stage


async def planned_with_key() -> MemoryStage:
    """A cycle that died when it was to queue its first tasks."""
    stage = await stage_with_sealed_miner()
    with pytest.raises(Crash):
        await drive(stage, using=OPENING, queue=FusedQueue(stage.queue, Fuse(0)))
    assert (await fold(stage.log)).seeded is not None
    return stage


async def test_a_sealed_endpoint_is_opened_for_the_task_alone() -> None:
    stage, seen = await stage_with_sealed_miner(), set[tuple[Uid, str]]()

    def run(task: EpisodeTask) -> EpisodeCompleted:
        seen.add((task.uid, task.endpoint))
        return facts.completed(task.key)

    async with worker(stage, run):
        await drive(stage, using=OPENING)
    await check_whole(stage.log)
    assert seen == {(0, "http://127.0.0.1:9000"), (1, f"https://{DEPLOYMENT}.deployments.basilica.ai")}
    assert not [it for it in await events_of(stage.log) if str(DEPLOYMENT).encode() in it.body]


@pytest.mark.parametrize("key", [None, OTHER_KEY], ids=["no key", "another key"])
async def test_whose_endpoint_cannot_be_opened_is_left_out_and_that_is_told(key: EndpointKey | None) -> None:
    stage, told = await stage_with_sealed_miner(), list[Progress]()
    async with worker(stage):
        await drive(stage, using=settings(endpoint_key=key), told=told)
    plan = (await fold(stage.log)).plan
    assert plan is not None
    assert [entry.uid for entry in plan.event.roster] == [0]
    assert LeftOut(CYCLE, (SEALED,)) in told


async def test_with_sealed_miners_alone_the_remedy_is_named() -> None:
    stage = MemoryStage()
    await append(stage.log, sealed_miner())
    with pytest.raises(NothingToEvaluate, match="KINITRO_BACKEND_PRIVATE_KEY"):
        await drive(stage)


@pytest.mark.parametrize(
    ("key", "given"), [(None, "there is no key"), (OTHER_KEY, f"the key with public half {OTHER_KEY.public.hex()}")]
)
async def test_a_cycle_whose_key_is_missing_is_refused_and_nothing_is_forfeited(
    key: EndpointKey | None, given: str
) -> None:
    stage = await planned_with_key()
    before = await stage.log.last_sequence()
    with pytest.raises(SealedEndpoints, match=f"evaluates uids 1, .*{given}.*KINITRO_BACKEND_PRIVATE_KEY"):
        await drive(stage, using=settings(endpoint_key=key))
    assert await stage.log.last_sequence() == before
    assert await stage.queue.pending() == 0


async def test_once_the_key_is_back_the_cycle_goes_on() -> None:
    stage = await planned_with_key()
    with pytest.raises(SealedEndpoints):
        await drive(stage)
    async with worker(stage):
        end = await drive(stage, using=OPENING)
    assert isinstance(end.event, CycleSealed)
    assert end.event.outcomes.completed == 8


async def test_a_cycle_that_needs_no_more_tasks_ends_without_the_key() -> None:
    stage = await planned_with_key()
    clock = HandClock()
    clock.turn(4000)
    end = await drive(stage, clock=clock)
    assert end.event.outcomes.abandoned == 8


async def test_miners_in_the_clear_need_no_key() -> None:
    stage = await with_miners(MemoryStage())
    async with worker(stage):
        await drive(stage)
    await check_whole(stage.log)


async def test_the_queue_holds_what_was_opened() -> None:
    """The work queue is the one place: it is private, and a task is gone once done."""
    stage = await planned_with_key()
    queue = stage.queue
    assert isinstance(queue, MemoryQueue)
    with pytest.raises(Crash):
        await drive(stage, using=OPENING, queue=FusedQueue(queue, Fuse(0, after=True)))
    assert str(DEPLOYMENT) in {task.endpoint.split("//")[1].split(".")[0] for task in await stage.tasks()}
