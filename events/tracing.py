"""Traces of episodes through the log, as OpenTelemetry has them. Ids follow from events, so none is stored or sent.

    episode                  from the task's arrival on the queue to its outcome; one trace each
    ├── run (one an attempt)
    │   ├── reset            until the policy has accepted the episode
    │   └── acts             all calls of `/act` and all steps between them
    └── append               of the outcome
        └── project          into the read models

Every process that meets a task or an event computes the same ids from it: whoever appends the outcome tells of the
episode, whoever projects it adds its own span below. All of a cycle's episodes have the cycle's correlation id as
attribute `kinitro.correlation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from events.ids import EpisodeKey


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took time. Times are nanoseconds since 1970."""

    name: str
    trace_id: int
    """128 bits."""
    span_id: int
    """64 bits."""
    parent_id: int | None
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    error: str | None = None


Tell = Callable[[Span], None]
"""Takes a span that has ended, and returns at once."""


def trace_of(correlation: str, key: EpisodeKey) -> int:
    return _digest(16, "trace", correlation, key.id)


def episode_span(correlation: str, key: EpisodeKey) -> int:
    return _digest(8, "episode", correlation, key.id)


def part_span(parent: int, name: str, number: int = 1) -> int:
    """The `number`-th span of this name below another one."""
    return _digest(8, "part", f"{parent:016x}", name, str(number))


def event_span(event_id: str, what: str) -> int:
    """What happened to an event: `append`, `project`."""
    return _digest(8, what, event_id)


def _digest(size: int, *parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:size], "big")
