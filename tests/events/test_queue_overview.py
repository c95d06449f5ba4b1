"""What an operator is told of the work queue."""

from __future__ import annotations

import asyncio

from events import frames
from events.connection import Connection
from events.ids import CycleId, Uid
from events.jetstream_queue import JetStreamQueue
from events.queue_overview import overview_of
from events.stream_settings import TASKS, VERIFIERS, WORKERS
from events.subjects import check
from tests.controls import facts
from tests.controls.tasks import task


async def test_tasks_are_counted_by_cycle_environment_and_miner(nats: Connection, task_queue: JetStreamQueue) -> None:
    await task_queue.put([task(1, uid=uid, env=env) for uid in (0, 1) for env in (facts.REACH, facts.PUSH)])
    await task_queue.put([task(2), facts.check_task(2)])
    overview = await task_queue.overview()
    assert list(overview.cycles) == [1, 2]
    first, second = overview.cycles.values()
    assert (first.episodes, first.checks) == (4, 0)
    assert first.by_environment == {facts.REACH: 2, facts.PUSH: 2}
    assert first.by_uid == {0: 2, 1: 2}
    assert (second.episodes, second.checks, second.by_uid) == (1, 1, {0: 2})


async def test_what_is_with_a_worker_or_a_verifier_waits_no_more(
    nats: Connection, task_queue: JetStreamQueue
) -> None:
    await task_queue.put([task(index=index) for index in range(3)])
    await task_queue.put([facts.check_task()])
    for durable in (WORKERS, VERIFIERS):
        puller = await nats.client.jetstream().pull_subscribe_bind(durable, TASKS)
        await puller.fetch(1, timeout=60)
    overview = await task_queue.overview()
    assert (overview.total, overview.waiting, overview.with_workers, overview.with_verifiers) == (4, 2, 1, 1)


async def test_a_stranger_on_the_queue_is_counted_as_such(nats: Connection, task_queue: JetStreamQueue) -> None:
    await nats.ask(lambda reply: frames.request("task.episode.poison", reply, b"?"))
    overview = await task_queue.overview()
    assert (overview.others, overview.total, overview.cycles) == (1, 1, {})


def test_a_cycle_of_checks_alone_is_counted() -> None:
    it = overview_of([check(CycleId(3), Uid(7))], 0, 0).cycles[3]
    assert (it.episodes, it.checks, it.by_environment, it.by_uid) == (0, 1, {}, {7: 1})


async def test_of_many_who_put_a_task_back_one_does(task_queue: JetStreamQueue) -> None:
    body = task().model_dump_json().encode()
    subject = "task.episode.1.0.metaworld.reach-v3.0"
    added = await asyncio.gather(*(task_queue.put_back(subject, body) for _ in range(5)))
    assert sorted(added) == [False] * 4 + [True]
