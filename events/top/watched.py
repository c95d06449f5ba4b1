"""The cycle that runs, or the last one, as it stands; then the next by itself. Pure: events in, figures out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import EnvId, Uid
from events.progress import Cell, CycleProgress
from events.weights import WeightsComputed, WeightsWithheld

RATE_WINDOW_S = 60
"""Over which the rate is taken: shorter jumps, longer lags."""

WORKER_GONE = timedelta(minutes=2)
"""Without an outcome for so long, a worker is no longer counted: an episode takes less."""

RECENT_MAX = 20
CONDUCTOR = "conductor"
"""Stands as the worker where an episode was not run."""


@dataclass(frozen=True)
class Snapshot:
    """A cycle as of one place in the log, where its events are not all read."""

    sequence: int
    plan: CyclePlanned
    planned_at: datetime
    ended: CycleSealed | CycleAbandoned | None
    ended_at: datetime | None
    cells: dict[tuple[Uid, EnvId], Cell]
    attempts_failed: int


class Watched:
    """A cycle, and what of late has happened in it."""

    def __init__(self) -> None:
        self.sequence = 0
        """Of the newest event seen."""
        self.weights: WeightsComputed | WeightsWithheld | None = None
        """The newest; before the cycle has its own, an earlier one's."""
        self._begin(CycleProgress(), None)

    def _begin(self, progress: CycleProgress, at: datetime | None) -> None:
        self.progress, self.begun_at = progress, at
        self.ended_at: datetime | None = None
        self.recent: deque[RecordedEvent[EpisodeOutcome]] = deque(maxlen=RECENT_MAX)
        """Newest first."""
        self._counted = 0
        """Up to which sequence a snapshot has counted already."""
        self._workers: dict[str, datetime] = {}
        self._by_second: deque[tuple[int, int]] = deque()
        """Unix second and outcomes in it, of the window."""

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on from there: events up to it that come nevertheless are not counted again."""
        done = sum(cell.done for cell in snapshot.cells.values())
        progress = CycleProgress(snapshot.plan, snapshot.cells, done, snapshot.attempts_failed, snapshot.ended)
        self._begin(progress, snapshot.planned_at)
        self.ended_at, self._counted = snapshot.ended_at, snapshot.sequence
        self.sequence = max(self.sequence, snapshot.sequence)

    def apply(self, recorded: RecordedEvent[Event]) -> None:
        event = recorded.event
        self.sequence = max(self.sequence, recorded.sequence)
        if isinstance(event, WeightsComputed | WeightsWithheld):
            self.weights = event
        elif recorded.sequence <= self._counted:
            return
        elif isinstance(event, CyclePlanned):
            self._begin(CycleProgress(event), recorded.time)
        elif self.progress.plan is not None and getattr(event, "cycle", None) == self.progress.plan.cycle:
            self._take(recorded)

    def _take(self, recorded: RecordedEvent[Event]) -> None:
        event = recorded.event
        self.progress.apply(event)
        if isinstance(event, CycleSealed | CycleAbandoned):
            self.ended_at = recorded.time
        elif isinstance(event, EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned):
            self.recent.appendleft(recorded)  # type: ignore[arg-type]  # the check narrows the payload alone
            self._clock(int(recorded.time.timestamp()))
            if not isinstance(event, EpisodeAbandoned) and event.worker != CONDUCTOR:
                self._workers[event.worker] = recorded.time

    def _clock(self, second: int) -> None:
        newest, outcomes = self._by_second[-1] if self._by_second else (0, 0)
        if second > newest:
            self._by_second.append((second, 1))
        else:  # another writer's clock may be behind: it ended now, all the same
            self._by_second[-1] = (newest, outcomes + 1)
        while self._by_second[0][0] <= self._by_second[-1][0] - RATE_WINDOW_S:
            self._by_second.popleft()

    @property
    def result(self) -> WeightsComputed | WeightsWithheld | None:
        """What came out of this cycle."""
        plan = self.progress.plan
        return self.weights if self.weights and plan and self.weights.cycle == plan.cycle else None

    def rate(self, now: datetime) -> float:
        """Episodes per second of late."""
        if self.begun_at is None:
            return 0.0
        span_s = min(float(RATE_WINDOW_S), (now - self.begun_at).total_seconds())
        since = now.timestamp() - RATE_WINDOW_S
        return sum(outcomes for second, outcomes in self._by_second if second > since) / max(1.0, span_s)

    def left_s(self, now: datetime) -> float | None:
        """How long it takes at this rate; None if nobody knows."""
        plan, rate = self.progress.plan, self.rate(now)
        return (plan.episodes_planned - self.progress.done) / rate if plan and rate > 0 else None

    def workers(self, now: datetime) -> int:
        """How many have brought an outcome of late."""
        self._workers = {name: seen for name, seen in self._workers.items() if now - seen < WORKER_GONE}
        return len(self._workers)
