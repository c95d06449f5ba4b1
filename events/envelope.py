"""An event with its identity and lineage, before and after it is in the log.

An envelope is stored as a CloudEvents 1.0 JSON document (structured mode). Those bytes *are* the event: they are
hashed, signed, streamed and exported as they stand, never encoded again. Field by field:

| attribute         | content                                                                          |
|-------------------|----------------------------------------------------------------------------------|
| `specversion`     | `1.0`                                                                            |
| `id`              | unique for ever; a second append with the same id is the same event              |
| `source`          | the role that wrote it, as a URI reference: `/kinitro/conductor`                 |
| `type`            | what happened: `kinitro.episode.completed`                                       |
| `schemaversion`   | version of the fields under `data`; older ones are upcast when read              |
| `subject`         | its place in the log; each subject holds one event, ever                         |
| `time`            | when the writer says it happened: RFC 3339, UTC                                  |
| `datacontenttype` | `application/json`                                                               |
| `correlationid`   | id of the event that began the story (a cycle's plan)                            |
| `causationid`     | id of the event that led to this one; absent at the beginning of a story         |
| `data`            | the payload: the fields of the class in `events/` that bears this type           |

The sequence is the log's and stands beside the document, not in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, NamedTuple, TypeVar

from events.event import Event

E_co = TypeVar("E_co", bound=Event, covariant=True)
F = TypeVar("F", bound=Event)

Clock = Callable[[], datetime]
"""Returns the present moment, aware, in UTC. Injected where tests need it."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """128 random bits in hex. Always from the system: a generator of our own would repeat itself after a fork."""
    return os.urandom(16).hex()


class Envelope(NamedTuple, Generic[E_co]):
    """An event with its identity (`id`) and lineage (`causation`, `correlation`)."""

    id: str
    source: str
    time: datetime
    correlation: str
    causation: str | None
    event: E_co

    def follow(self, event: F, *, source: str, time: datetime | None = None) -> Envelope[F]:
        """The envelope of an event that this one has led to."""
        return follow(event, cause=self.id, correlation=self.correlation, source=source, time=time)


def begin(event: F, *, source: str, time: datetime | None = None) -> Envelope[F]:
    """The envelope of the first event of a story, caused by nothing in the log."""
    identity = new_id()
    return Envelope(identity, source, time or utc_now(), identity, None, event)


def follow(event: F, *, cause: str, correlation: str, source: str, time: datetime | None = None) -> Envelope[F]:
    """The envelope of an event whose cause is known by its id only, as in a task."""
    return Envelope(new_id(), source, time or utc_now(), correlation, cause, event)


class RecordedEvent(NamedTuple, Generic[E_co]):
    """An event that is in the log at `sequence` (1, 2, 3, ...); `body` is its exact bytes."""

    sequence: int
    subject: str
    body: bytes
    envelope: Envelope[E_co]

    @property
    def event(self) -> E_co:
        return self.envelope.event

    @property
    def id(self) -> str:
        return self.envelope.id

    @property
    def time(self) -> datetime:
        return self.envelope.time
