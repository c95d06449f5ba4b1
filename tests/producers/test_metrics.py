"""What the scheduler measures: the queue as it is, and what the conductor forfeits."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from events.codec import draft
from events.connection import Connection
from events.dead_letters import DeadLetters
from events.envelope import begin
from events.episodes import ForfeitCode
from events.jetstream_queue import JetStreamQueue
from events.memory import MemoryLog
from events.metrics import ObservedLog, append_latency
from producers.metrics import SchedulerMetrics
from tests.controls import facts
from tests.controls.tasks import task


async def test_the_queue_is_asked_at_each_scrape(task_queue: JetStreamQueue, nats: Connection) -> None:
    registry = CollectorRegistry()
    metrics = SchedulerMetrics(task_queue, DeadLetters(nats), registry)
    for queued in (0, 1, 2):
        await metrics.refresh()
        assert registry.get_sample_value("kinitro_queue_depth") == queued
        await task_queue.put([task(index=queued)])


async def test_dead_letters_are_counted_at_each_scrape(task_queue: JetStreamQueue, nats: Connection) -> None:
    registry, letters = CollectorRegistry(), DeadLetters(nats)
    metrics = SchedulerMetrics(task_queue, letters, registry)
    for kept in (0, 1, 2):
        await metrics.refresh()
        assert registry.get_sample_value("kinitro_dead_letters") == kept
        await letters.keep(f"task.check.1.{kept}", b"{}", reason="unknown", worker="worker-1", deliveries=1)


async def test_appends_are_timed_and_forfeits_counted(task_queue: JetStreamQueue, nats: Connection) -> None:
    registry = CollectorRegistry()
    metrics = SchedulerMetrics(task_queue, DeadLetters(nats), registry)
    log = ObservedLog(MemoryLog(), (append_latency(registry), metrics.appended))
    given_up = facts.forfeited().model_copy(update={"code": ForfeitCode.GIVEN_UP})
    await log.append([draft(begin(event, source="/test")) for event in (facts.planned(), given_up)])
    assert registry.get_sample_value("kinitro_append_duration_seconds_count") == 1
    assert registry.get_sample_value("kinitro_forfeits_total", {"code": "given_up"}) == 1
