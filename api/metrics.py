"""What the API tells Prometheus: facts from the read models, right after any restart, and its own readers.

Copies of the API all tell the same facts: take `max`, never `sum`, over them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncConnection

from api.dependencies import Resources
from api.problems import Problem
from events.dead_letters import ABOUT_DEAD_LETTERS, DeadLetterError, DeadLetters
from events.jetstream_queue import JetStreamQueue
from events.log import LogError
from events.metrics import new_registry
from events.metrics_server import exposition
from events.queue import QueueError
from projectors.cycles import queries as cycles
from projectors.metrics import projections
from projectors.miners import queries as miners
from projectors.operations import ProjectionStatus, projection_statuses
from projectors.weights import queries as weights
from projectors.weights.queries import Scores

CYCLE_BUCKETS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 21600.0, 43200.0)
FRESH_S = 2.0
"""The API is public: however often it is asked, it asks the database no oftener than this."""
QUEUE_S = 2.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the read models say."""

    durations: Mapping[str, cycles.Durations]
    """By how the cycles ended."""
    current_cycle: int | None
    last_planned_at: datetime | None
    episodes: cycles.Counts
    """Of all cycles."""
    miners_active: int
    registered: frozenset[str]
    """Hotkeys."""
    scores: Scores | None
    """Of the newest cycle that has any."""
    statuses: Sequence[ProjectionStatus]


class ApiMetrics(Collector):
    """The registry of one API process."""

    def __init__(self) -> None:
        self._registry: CollectorRegistry = new_registry()
        self.stream_readers = Gauge(
            "kinitro_stream_readers",
            "Of this process: who is connected to a live stream, by stream.",
            ["stream"],
            registry=self._registry,
        )
        self._facts: Facts | None = None
        self._interval_s: float | None = None
        self._log_sequence: int | None = None
        self._takes_appends = True
        self._queued: int | None = None
        self._dead: int | None = None
        self._looked_s: float | None = None
        self._looking = asyncio.Lock()
        self._registry.register(self)

    async def scraped(self, resources: Resources, accept: str) -> tuple[bytes, str]:
        """All numbers as text, and its media type."""
        async with self._looking:
            if self._looked_s is None or time.monotonic() - self._looked_s >= FRESH_S:
                await self._look(resources)
                self._looked_s = time.monotonic()
        return exposition(self._registry, accept)

    def collect(self) -> Iterator[Metric]:
        about = "Whether this part answered the API just now; and the log takes events, as far as anybody has told."
        up = GaugeMetricFamily("kinitro_up", about, labels=["part"])
        up.add_metric(["database"], self._facts is not None)
        up.add_metric(["log"], self._log_sequence is not None and self._takes_appends)
        yield up
        if self._log_sequence is not None:
            yield GaugeMetricFamily("kinitro_log_sequence", "By the log: its newest event.", value=self._log_sequence)
        if self._queued is not None:
            about = "By the queue: tasks that wait for a worker or are with one."
            yield GaugeMetricFamily("kinitro_queue_depth", about, value=self._queued)
        if self._interval_s is not None:
            about = "From plan to plan, as this API was told; the scheduler has to be told the same."
            yield GaugeMetricFamily("kinitro_eval_interval_seconds", about, value=self._interval_s)
        if self._dead is not None:
            yield GaugeMetricFamily("kinitro_dead_letters", ABOUT_DEAD_LETTERS, value=self._dead)
        if self._facts is not None:
            yield from _of_facts(self._facts)

    async def _look(self, resources: Resources) -> None:
        # At once: a log that does not answer must not make three time-outs of one, nor the scrape too late.
        self._log_sequence, self._queued, self._dead = await asyncio.gather(
            _log_sequence(resources), _queued(resources), _dead_letters(resources)
        )
        self._takes_appends = resources.log.takes_appends
        end, self._interval_s = self._log_sequence, resources.settings.eval_interval_s
        try:
            self._facts = await resources.models.ask(lambda connection: _facts(connection, end))
        except Problem:
            self._facts = None


async def _log_sequence(resources: Resources) -> int | None:
    try:
        return await resources.log.last_sequence()
    except LogError:
        return None


async def _queued(resources: Resources) -> int | None:
    try:
        return await JetStreamQueue(resources.log.connected(), patience_s=QUEUE_S).pending()
    except (LogError, QueueError):
        return None


async def _dead_letters(resources: Resources) -> int | None:
    try:
        return await DeadLetters(resources.log.connected(), patience_s=QUEUE_S).count()
    except (LogError, DeadLetterError):
        return None


async def _facts(connection: AsyncConnection, end: int | None) -> Facts:
    by_environment = [each.counts for each in await cycles.environments(connection)]
    registered = [each.hotkey for each in await miners.miners(connection) if each.registered]
    overview = await cycles.overview(connection)
    return Facts(
        durations=await cycles.durations(connection, CYCLE_BUCKETS_S),
        current_cycle=overview.current_cycle,
        last_planned_at=overview.last_planned_at,
        episodes=_added(by_environment),
        miners_active=len(registered),
        registered=frozenset(registered),
        scores=await weights.latest_scores(connection),
        statuses=await projection_statuses(connection, end),
    )


def _added(counts: Iterable[cycles.Counts]) -> cycles.Counts:
    all_counts = [(it.completed, it.successful, it.forfeited, it.abandoned, it.attempts_failed) for it in counts]
    return cycles.Counts(*map(sum, zip(*all_counts, strict=True))) if all_counts else cycles.Counts(0, 0, 0, 0, 0)


def _of_facts(facts: Facts) -> Iterator[Metric]:
    yield from _of_cycles(facts)
    yield _of_episodes(facts.episodes)
    about = "By the log: miners that are registered and have a policy."
    yield GaugeMetricFamily("kinitro_miners_active", about, value=facts.miners_active)
    yield _of_scores(facts)
    yield from projections(facts.statuses)


def _of_cycles(facts: Facts) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "kinitro_eval_cycles", "By the log: cycles that have ended, by end (sealed, abandoned).", labels=["end"]
    )
    duration = HistogramMetricFamily(
        "kinitro_eval_duration_seconds", "By the log: from a cycle's plan to its end, by end.", labels=["end"]
    )
    nothing = cycles.Durations((0,) * len(CYCLE_BUCKETS_S), 0, 0.0)
    for end in ("sealed", "abandoned"):
        found = facts.durations.get(end, nothing)
        total.add_metric([end], found.count)
        buckets = [
            (str(bound_s), float(count)) for bound_s, count in zip(CYCLE_BUCKETS_S, found.cumulative, strict=True)
        ]
        duration.add_metric([end], [*buckets, ("+Inf", float(found.count))], found.sum_s)
    yield total
    yield duration
    about = "By the log: the number of the cycle that is running; 0 for none."
    yield GaugeMetricFamily("kinitro_eval_cycle_running", about, value=facts.current_cycle or 0)
    if facts.last_planned_at is not None:
        about = "By the log: when the newest cycle was planned."
        planned_at = facts.last_planned_at.timestamp()
        yield GaugeMetricFamily("kinitro_eval_last_plan_timestamp_seconds", about, value=planned_at)


def _of_episodes(counts: cycles.Counts) -> Metric:
    episodes = CounterMetricFamily(
        "kinitro_eval_episodes",
        "By the log: episodes of all cycles by outcome (completed, forfeited, abandoned), and failed attempts.",
        labels=["outcome"],
    )
    for outcome in ("completed", "forfeited", "abandoned"):
        episodes.add_metric([outcome], getattr(counts, outcome))
    episodes.add_metric(["attempt_failed"], counts.attempts_failed)
    return episodes


def _of_scores(facts: Facts) -> Metric:
    """One series for each miner and environment of the newest result: those who left are not among them."""
    scores = GaugeMetricFamily(
        "kinitro_miner_scores",
        "By the log: success rate of a registered miner on an environment in the newest cycle that was scored.",
        labels=["uid", "hotkey", "env"],
    )
    for standing in facts.scores.standings if facts.scores else ():
        if standing.hotkey not in facts.registered:
            continue
        for env, tally in standing.tallies.items():
            if tally.rate is not None:
                scores.add_metric([str(standing.uid), standing.hotkey, env], tally.rate)
    return scores
