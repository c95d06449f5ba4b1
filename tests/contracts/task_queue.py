"""What every `TaskQueue` does. A test class per implementation inherits it and provides the fixture `queue`."""

from __future__ import annotations

from events.ids import CycleId, Uid
from events.queue import TaskQueue
from events.tasks import EpisodeTask
from tests.controls import facts


def tasks(number: int, *, cycle: int = 1, uid: int = 0) -> list[EpisodeTask]:
    return [facts.task(facts.key(cycle, uid, index=index)) for index in range(number)]


class TaskQueueContract:
    """Inherit it, and give a fixture `queue` that is a new, empty queue in each test."""

    async def test_put_counts_what_is_new(self, queue: TaskQueue) -> None:
        assert await queue.put(tasks(3)) == 3
        assert await queue.pending() == 3

    async def test_put_of_nothing_puts_nothing(self, queue: TaskQueue) -> None:
        assert await queue.put([]) == 0

    async def test_put_twice_is_once(self, queue: TaskQueue) -> None:
        await queue.put(tasks(3))
        assert await queue.put(tasks(5)) == 2
        assert await queue.pending() == 5

    async def test_what_is_new_counts_wherever_others_were_found(self, queue: TaskQueue) -> None:
        assert [await queue.put(tasks(number)) for number in (3, 3, 5, 5, 1_205, 1_206)] == [3, 0, 2, 0, 1_200, 1]
        assert await queue.put(tasks(1_200, uid=1)) == 1_200
        assert await queue.pending() == 2_406

    async def test_the_same_task_twice_at_once_is_once(self, queue: TaskQueue) -> None:
        assert await queue.put([*tasks(2), *tasks(2)]) == 2

    async def test_many_tasks_are_put(self, queue: TaskQueue) -> None:
        assert await queue.put(tasks(2_345)) == 2_345
        assert await queue.pending() == 2_345

    async def test_purge_takes_one_cycle_only(self, queue: TaskQueue) -> None:
        await queue.put([*tasks(3, cycle=1), *tasks(4, cycle=11)])
        assert await queue.purge_cycle(CycleId(1)) == 3
        assert await queue.pending() == 4

    async def test_purge_takes_one_miner_of_one_cycle_only(self, queue: TaskQueue) -> None:
        others = [*tasks(4, uid=11), *tasks(5, cycle=11, uid=1)]
        await queue.put([*tasks(3, uid=1), *others])
        assert await queue.purge_miner(CycleId(1), Uid(1)) == 3
        assert await queue.pending() == len(others)

    async def test_a_check_is_queued_beside_episodes_and_purged_with_its_cycle(self, queue: TaskQueue) -> None:
        assert await queue.put([*tasks(2, uid=1), facts.check_task(uid=1), facts.check_task(2, uid=1)]) == 4
        assert await queue.purge_miner(CycleId(1), Uid(1)) == 2
        assert await queue.purge_cycle(CycleId(1)) == 1
        assert await queue.pending() == 1

    async def test_what_was_purged_can_be_put_again(self, queue: TaskQueue) -> None:
        await queue.put(tasks(3))
        await queue.purge_miner(CycleId(1), Uid(0))
        assert await queue.put(tasks(3)) == 3
