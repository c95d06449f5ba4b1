"""What the scheduler measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from events.dead_letters import ABOUT_DEAD_LETTERS, DeadLetterError, DeadLetters
from events.episodes import EpisodeForfeited
from events.log import Draft
from events.queue import QueueError, TaskQueue


class SchedulerMetrics(Collector):
    """The queue's depth, what was given up from it, and what the conductor has appended."""

    def __init__(self, queue: TaskQueue, letters: DeadLetters, registry: CollectorRegistry) -> None:
        self._queue, self._letters = queue, letters
        self._depth: int | None = None
        self._dead: int | None = None
        self._forfeits = Counter(
            "kinitro_forfeits_total",
            "Of this process: episodes that a policy forfeited without being called again, by code.",
            ["code"],
            registry=registry,
        )
        registry.register(self)

    def appended(self, drafts: Sequence[Draft], _: float) -> None:
        """Counts forfeits among these events."""
        for draft in drafts:
            if ".episode." in draft.subject:
                document = orjson.loads(draft.body)
                if document["type"] == EpisodeForfeited.type:
                    self._forfeits.labels(document["data"]["code"]).inc()

    async def refresh(self) -> None:
        """Asks the queue."""
        try:
            self._depth = await self._queue.pending()
        except QueueError:
            self._depth = None
        try:
            self._dead = await self._letters.count()
        except DeadLetterError:
            self._dead = None

    def collect(self) -> Iterator[Metric]:
        if self._depth is not None:
            about = "By the queue: tasks that wait for a worker or are with one."
            yield GaugeMetricFamily("kinitro_queue_depth", about, value=self._depth)
        if self._dead is not None:
            yield GaugeMetricFamily("kinitro_dead_letters", ABOUT_DEAD_LETTERS, value=self._dead)
