"""Tells of each attempt and each episode as spans, once an append says how it ended (`events.tracing`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from events.codec import decode
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import EpisodeKey
from events.log import Draft, Stored
from events.tasks import EpisodeTask
from events.tracing import Span, Tell, episode_span, event_span, part_span, trace_of

Reset = Callable[[], None]

_queued_ns: ContextVar[int] = ContextVar("_queued_ns", default=0)
"""When the task that is being worked on came to the queue; 0 where that is not known."""


@contextmanager
def arriving(at: datetime) -> Iterator[None]:
    """While a message is worked on that came to the queue then."""
    token = _queued_ns.set(int(at.timestamp() * 1_000_000) * 1_000)
    try:
        yield
    finally:
        _queued_ns.reset(token)


@dataclass
class _Attempt:
    queued_ns: int
    began_ns: int
    reset_ns: int | None = None
    ended_ns: int | None = None


class EpisodeTraces:
    """Remembers when the parts of running attempts began and ended."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._attempts: dict[EpisodeKey, _Attempt] = {}
        """As many as episodes are in flight: the end of each is appended before its slot is free again."""

    def began(self, task: EpisodeTask) -> None:
        now_ns = time.time_ns()
        self._attempts[task.key] = _Attempt(_queued_ns.get() or now_ns, now_ns)

    def reset(self, key: EpisodeKey) -> Reset:
        """To be called when the policy has accepted the episode."""

        def was_reset() -> None:
            if attempt := self._attempts.get(key):
                attempt.reset_ns = time.time_ns()

        return was_reset

    def ended(self, key: EpisodeKey) -> None:
        if attempt := self._attempts.get(key):
            attempt.ended_ns = time.time_ns()

    def appended(self, drafts: Sequence[Draft], duration_s: float) -> None:
        """Tells what these events conclude."""
        now_ns = time.time_ns()
        began_ns = now_ns - int(duration_s * 1e9)
        for draft in drafts:
            recorded = decode(Stored(0, draft.subject, draft.body))
            event = recorded.event
            if isinstance(event, EpisodeAttemptFailed):
                self._tell_attempt(recorded, event, event.attempt, error=f"{event.code}: {event.detail}")
            elif isinstance(event, EpisodeCompleted | EpisodeForfeited):
                error = f"{event.code}: {event.detail}" if isinstance(event, EpisodeForfeited) else None
                queued_ns = self._tell_attempt(recorded, event, event.attempt, error=error)
                self._tell_outcome(recorded, event, queued_ns or began_ns, began_ns, now_ns)
            elif isinstance(event, EpisodeAbandoned):
                self._tell_outcome(recorded, event, _queued_ns.get() or began_ns, began_ns, now_ns)

    def _tell_attempt(
        self,
        recorded: RecordedEvent[Event],
        event: EpisodeCompleted | EpisodeForfeited | EpisodeAttemptFailed,
        number: int,
        *,
        error: str | None,
    ) -> int | None:
        """When the task came to the queue; None if this worker has not run the attempt, so that another was lost."""
        attempt = self._attempts.pop(event.key, None)
        if attempt is None:
            return None
        trace = trace_of(recorded.envelope.correlation, event.key)
        parent = episode_span(recorded.envelope.correlation, event.key)
        run = part_span(parent, "run", number)
        ended_ns = attempt.ended_ns or time.time_ns()
        reset_ns = attempt.reset_ns or ended_ns
        about: dict[str, str | int | float | bool] = {"kinitro.worker": event.worker, "kinitro.attempt": number}
        self._tell(Span("run", trace, run, parent, attempt.began_ns, ended_ns, about, error))
        self._tell(Span("reset", trace, part_span(run, "reset"), run, attempt.began_ns, reset_ns))
        if attempt.reset_ns is not None:
            acts = _acts_of(event)
            self._tell(Span("acts", trace, part_span(run, "acts"), run, attempt.reset_ns, ended_ns, acts))
        return attempt.queued_ns

    def _tell_outcome(
        self,
        recorded: RecordedEvent[Event],
        event: EpisodeCompleted | EpisodeForfeited | EpisodeAbandoned,
        queued_ns: int,
        began_ns: int,
        ended_ns: int,
    ) -> None:
        correlation = recorded.envelope.correlation
        trace, episode = trace_of(correlation, event.key), episode_span(correlation, event.key)
        about: dict[str, str | int | float | bool] = {
            "kinitro.episode": event.key.id,
            "kinitro.correlation": correlation,
            "kinitro.causation": recorded.envelope.causation or "",
            "kinitro.outcome": event.type,
        }
        self._tell(Span("episode", trace, episode, None, queued_ns, ended_ns, about))
        append = event_span(recorded.id, "append")
        self._tell(Span("append", trace, append, episode, began_ns, ended_ns, {"kinitro.event": recorded.id}))


def _acts_of(event: Event) -> dict[str, str | int | float | bool]:
    if not isinstance(event, EpisodeCompleted | EpisodeForfeited):
        return {}
    latency = event.latency
    return {
        "kinitro.acts": latency.calls,
        "kinitro.act_p50_ms": latency.p50_ms,
        "kinitro.act_max_ms": latency.max_ms,
    }
