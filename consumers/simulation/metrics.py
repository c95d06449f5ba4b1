"""What a worker measures."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from events.codec import decode
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.log import Draft, Stored

ACT_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 5)
"""Fine where deadlines are: 100 ms by default."""
EPISODE_BUCKETS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class WorkerMetrics:
    """Numbers of one worker process, since it started."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "kinitro_attempts_total",
            "Of this process: attempts at episodes whose end it appended, by end"
            " (completed, forfeited, failed: the last is our own failure).",
            ["end"],
            registry=registry,
        )
        for end in ("completed", "forfeited", "failed"):
            self._attempts.labels(end)
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
        self.act_latency_s = Histogram(
            "kinitro_act_latency_seconds",
            "Of this process: how long policies took for one act, by the kernel's clock.",
            buckets=ACT_BUCKETS_S,
            registry=registry,
        )
        self._duration_s = Histogram(
            "kinitro_episode_duration_seconds",
            "Of this process: from reset to end, of episodes that ended.",
            buckets=EPISODE_BUCKETS_S,
            registry=registry,
        )
        self.running = Gauge("kinitro_episodes_running", "Of this process: episodes under way.", registry=registry)

    def appended(self, drafts: Sequence[Draft], _: float) -> None:
        """Counts what these events say. One that is appended again, after a doubt, is counted once."""
        for draft in drafts:
            match decode(Stored(0, draft.subject, draft.body)).event:
                case EpisodeCompleted() as event:
                    self._attempts.labels("completed").inc()
                    self._duration_s.observe(event.duration_s)
                case EpisodeForfeited() as event:
                    self._attempts.labels("forfeited").inc()
                    self._forfeits.labels(event.code.value).inc()
                    self._duration_s.observe(event.duration_s)
                case EpisodeAttemptFailed() as event:
                    self._attempts.labels("failed").inc()
                    self._failures.labels(event.code.value).inc()
                case EpisodeAbandoned():
                    self._abandoned.inc()
