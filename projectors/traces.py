"""The last span of an episode's trace: its outcome is in the read models (`events.tracing`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import orjson

from events.ids import EpisodeKey
from events.log import Stored
from events.tracing import Span, Tell, event_span, trace_of

FRESH_S = 600.0
"""What is older is history that is read again: nobody waits for its trace."""


class ProjectionTraces:
    """Tells of outcomes that were written to the read models just now."""

    def __init__(self, tell: Tell, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._tell = tell
        self._now_ns = now_ns

    def projected(self, batch: Sequence[Stored], duration_s: float) -> None:
        """Of events that all projections have just committed, together in this time."""
        ended_ns = self._now_ns()
        began_ns = ended_ns - int(duration_s * 1e9)
        for stored in batch:
            key = _episode(stored.subject)
            if key is not None:
                self._tell_of(stored, key, began_ns, ended_ns)

    def _tell_of(self, stored: Stored, key: EpisodeKey, began_ns: int, ended_ns: int) -> None:
        try:
            document = orjson.loads(stored.body)
            event, correlation = str(document["id"]), str(document["correlationid"])
            happened = datetime.fromisoformat(document["time"])
        except (ValueError, KeyError, TypeError):
            return  # no event of ours; the projection has said so
        if ended_ns / 1e9 - happened.timestamp() > FRESH_S:
            return
        about: dict[str, str | int | float | bool] = {"kinitro.event": event, "kinitro.sequence": stored.sequence}
        parent = event_span(event, "append")
        self._tell(
            Span(
                "project", trace_of(correlation, key), event_span(event, "project"), parent, began_ns, ended_ns, about
            )
        )


def _episode(subject: str) -> EpisodeKey | None:
    """Whose outcome stands at this subject: `evt.cycle.<n>.episode.<uid>.<family>.<task>.<index>`."""
    parts = subject.split(".")
    if len(parts) != 8 or parts[3] != "episode":
        return None
    try:
        return EpisodeKey.parse(".".join((parts[2], *parts[4:])))
    except ValueError:
        return None
