"""What a worker measures."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge

from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.log import Draft
from events.metrics import LoopHistogram

ACT_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 5)
"""Fine where deadlines are: 100 ms by default."""
EPISODE_BUCKETS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class WorkerMetrics:
    """Numbers of one worker process, since it started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        attempts = Counter(
            "kinitro_attempts_total",
            "Of this process: attempts at episodes whose end it appended, by end"
            " (completed, forfeited, failed: the last is our own failure).",
            ["end"],
            registry=registry,
        )
        self._completed, self._forfeited, self._failed = map(attempts.labels, ("completed", "forfeited", "failed"))
        self._forfeits = Counter(
            "kinitro_forfeits_total",
            "Of this process: episodes that a policy forfeited, by code.",
            ["code"],
            registry=registry,
        )
        self._failures = Counter(
            "kinitro_attempt_failures_total",
            "Of this process: attempts in which we failed, by code.",
            ["code"],
            registry=registry,
        )
        self._abandoned = Counter(
            "kinitro_episodes_abandoned_total",
            "Of this process: episodes it gave up after their last attempt.",
            registry=registry,
        )
        self.act_latency_s = LoopHistogram(
            "kinitro_act_latency_seconds",
            "Of this process: how long policies took for one act, by the kernel's clock.",
            ACT_BUCKETS_S,
            registry,
        )
        self._duration_s = LoopHistogram(
            "kinitro_episode_duration_seconds",
            "Of this process: from reset to end, of episodes that ended.",
            EPISODE_BUCKETS_S,
            registry,
        )
        self.running = Gauge("kinitro_episodes_running", "Of this process: episodes under way.", registry=registry)

    def appended(self, drafts: Sequence[Draft], _: float) -> None:
        """Counts what these events say. One that is appended again, after a doubt, is counted once.

        They are our own, of this version, and just encoded: to check all their fields again would cost ten times as
        much as to count them.
        """
        for draft in drafts:
            document = orjson.loads(draft.body)
            data = document["data"]
            match document["type"]:
                case EpisodeCompleted.type:
                    self._completed.inc()
                    self._duration_s.observe(data["duration_s"])
                case EpisodeForfeited.type:
                    self._forfeited.inc()
                    self._forfeits.labels(data["code"]).inc()
                    self._duration_s.observe(data["duration_s"])
                case EpisodeAttemptFailed.type:
                    self._failed.inc()
                    self._failures.labels(data["code"]).inc()
                case EpisodeAbandoned.type:
                    self._abandoned.inc()
