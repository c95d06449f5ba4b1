"""What all roles measure alike, and how a role is asked for its numbers (Prometheus).

Every process has a registry of its own, made by the command and passed down. Its numbers are one of two kinds, and
the help of each says which:

- *of this process*: counted since it started. They begin at 0 again after a restart, as counters of Prometheus may.
- *by the log*: asked of the log or the read models whenever somebody scrapes, and so right after any restart.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from events.log import Draft, EventLog, Filter, Stored

APPEND_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

Appended = Callable[[Sequence[Draft], float], None]
"""Is told of events that are in the log now, and how long their append took, in seconds. It raises nothing."""


def new_registry() -> CollectorRegistry:
    """One for a process: with its CPU time, memory and open files, and without what else the library adds."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


class LoopHistogram(Collector):
    """A histogram that is observed on the event loop only: without the library's locks, at a tenth of their cost."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        """`buckets`: upper bounds, ascending, without infinity."""
        self._name, self._documentation = name, documentation
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        bounds = [*map(str, map(float, self._bounds)), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)


def append_latency(registry: CollectorRegistry) -> Appended:
    """How long appends take, doubts and their resolution included."""
    histogram = LoopHistogram(
        "kinitro_append_duration_seconds",
        "Of this process: how long an append took until it was acknowledged; a batch counts as one.",
        APPEND_BUCKETS_S,
        registry,
    )

    def appended(_: Sequence[Draft], duration_s: float) -> None:
        histogram.observe(duration_s)

    return appended


class ObservedLog:
    """An `EventLog` that tells observers of what was appended through it."""

    def __init__(self, log: EventLog, observers: Sequence[Appended]) -> None:
        self._log = log
        self._observers = tuple(observers)

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        began_s = time.perf_counter()
        sequences = await self._log.append(drafts)
        duration_s = time.perf_counter() - began_s
        for observer in self._observers:
            observer(drafts, duration_s)
        return sequences

    async def last(self, subject: str) -> Stored | None:
        return await self._log.last(subject)

    async def at(self, sequence: int) -> Stored | None:
        return await self._log.at(sequence)

    async def last_sequence(self) -> int:
        return await self._log.last_sequence()

    async def identity(self) -> str:
        return await self._log.identity()

    def read(self, *, after: int = 0, subject: Filter = ">") -> AsyncGenerator[list[Stored], None]:
        return self._log.read(after=after, subject=subject)

    def follow(self, *, after: int = 0, subject: str = ">") -> AsyncGenerator[list[Stored], None]:
        return self._log.follow(after=after, subject=subject)
