"""Tasks onto the queue, chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from events.codec import draft
from events.envelope import begin
from events.episodes import EpisodeOutcome
from events.ids import CycleId
from events.log import Stored
from events.memory import MemoryQueue
from events.queue import QueueFull, QueueUnavailable
from events.seeds import cycle_secret
from events.tasks import EpisodeTask, Task
from producers.cycles.dispatch import CHUNK, Dispatch
from producers.cycles.tasks import EpisodeTasks, endpoints
from tests.controls import facts
from tests.producers.driving import (
    CYCLE,
    MASTER_KEY,
    Fuse,
    FusedQueue,
    MemoryStage,
    append,
    check_whole,
    drive,
    fold,
    with_miners,
    worker,
)


class NarrowQueue(MemoryQueue):
    """Has room for so many tasks."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    async def put(self, tasks: Sequence[Task]) -> int:
        added = 0
        for task in tasks:
            assert isinstance(task, EpisodeTask)
            if len(self.waiting) >= self.room and task.key.id not in self.waiting:
                raise QueueFull(f"{self.room} tasks are on the queue; let workers catch up")
            added += await super().put([task])
        return added


async def dispatch(queue: MemoryQueue | FusedQueue, *, episodes: int = 300, done: int = 0) -> Dispatch:
    """Of 4 x `episodes` tasks, the first `done` of which have an outcome."""
    log = MemoryStage().log
    terms = facts.TERMS.model_copy(update={"forfeits_in_row_max": 1})
    await append(log, facts.planned(episodes=episodes, terms=terms), facts.seeded())
    state = await fold(log)
    assert state.plan is not None
    assert state.seeded is not None
    tasks = EpisodeTasks(state.plan, state.seeded, cycle_secret(MASTER_KEY, CYCLE), endpoints(state.plan.event, None))
    await append(log, *(facts.completed(key) for key, _ in zip(tasks.keys(), range(done), strict=False)))
    return Dispatch(await fold(log), tasks, queue)


async def test_all_tasks_are_put_in_chunks_and_in_order() -> None:
    queue = MemoryQueue()
    it = await dispatch(queue)
    assert [await it.put_chunk() for _ in range(4)] == [CHUNK, CHUNK, 200, 0]
    assert it.finished
    assert [task.key for task in queue.waiting.values()] == list(it._tasks.keys())


async def test_episodes_with_an_outcome_are_left_out() -> None:
    it = await dispatch(MemoryQueue(), done=1_000)
    assert await it.put_chunk() == 200


async def test_a_second_pass_queues_only_what_is_gone() -> None:
    queue = MemoryQueue()
    it = await dispatch(queue, episodes=5)
    await it.put_chunk()
    for task in list(queue.waiting.values())[:3]:
        queue.done(task)
    it.restart()
    assert await it.put_chunk() == 3


async def test_a_full_queue_is_left_alone_for_a_while() -> None:
    it = await dispatch(NarrowQueue(100))
    assert await it.put_chunk() == 0
    assert (it.ready, it.finished) == (False, False)


async def test_a_chunk_that_got_no_answer_is_put_again() -> None:
    queue = MemoryQueue()
    it = await dispatch(FusedQueue(queue, Fuse(0, QueueUnavailable)), episodes=5)
    with pytest.raises(QueueUnavailable):
        await it.put_chunk()
    assert await it.put_chunk() == 20


def settle(it: Dispatch, *events: EpisodeOutcome) -> None:
    """Puts outcomes into the state that it looks at."""
    for event in events:
        new = draft(begin(event, source="/tests"))
        it._state.apply(Stored(it._state.last_sequence + 1, new.subject, new.body))


def on(queue: MemoryQueue) -> Counter[int]:
    """How many tasks each miner has on the queue."""
    return Counter(task.uid for task in queue.waiting.values())


async def test_tasks_of_a_miner_set_aside_leave_the_queue() -> None:
    queue = MemoryQueue()
    it = await dispatch(queue)
    await it.put_chunk()
    settle(it, facts.forfeited())
    while not it.finished:
        await it.put_chunk()
    assert on(queue) == {1: 600}


async def test_tasks_of_a_miner_taken_back_come_at_the_end_of_the_pass() -> None:
    queue = MemoryQueue()
    it = await dispatch(queue)
    await it.put_chunk()
    settle(it, facts.forfeited())
    await it.put_chunk()
    settle(it, facts.completed(facts.key(index=1)))
    while not it.finished:
        await it.put_chunk()
    assert on(queue) == {0: 598, 1: 600}


async def test_a_purge_that_got_no_answer_is_tried_again() -> None:
    queue = MemoryQueue()
    it = await dispatch(FusedQueue(queue, Fuse(1, QueueUnavailable)), episodes=5)
    await it.put_chunk()
    settle(it, facts.forfeited())
    with pytest.raises(QueueUnavailable):
        await it.put_chunk()
    await it.put_chunk()
    assert on(queue) == {1: 10}


async def test_a_cycle_ends_though_the_queue_is_narrow() -> None:
    stage = MemoryStage()
    stage.memory_queue = NarrowQueue(8)
    stage.queue = stage.memory_queue
    await with_miners(stage)
    async with worker(stage):
        await drive(stage)
    await check_whole(stage.log)
    assert await stage.queue.purge_cycle(CycleId(1)) == 0
