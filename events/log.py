"""The log: an append-only sequence of events, each at a subject. It knows nothing about what they mean.

LogError
├── LogUnavailable    no answer in time; the same call may be made again, with the same ids
├── Conflict          the subject holds another event than expected
├── TooLarge          one event, or the batch, is over the server's limits
└── StreamMismatch    the stream exists with settings that we would not have chosen
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

BATCH_MAX = 1_000
"""How many events one atomic append can hold: the server's own limit."""


class LogError(Exception):
    """The log could not do what was asked."""


class LogUnavailable(LogError):
    """No answer in time. What was to be appended may or may not be there: repeat the call with the same ids."""


class Conflict(LogError):
    """Somebody else's event stands where ours was to be. Read the subject: the log is right."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected last sequence {expected}, the log has {actual}")
        self.subject, self.expected, self.actual = subject, expected, actual


class TooLarge(LogError):
    """The server would refuse this much at once; append less."""


class StreamMismatch(LogError):
    """A stream exists with other settings. The message names each: expected, actual, remedy."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An event to append. `expected_last` is the sequence of the last event at `subject`: 0 for none."""

    subject: str
    id: str
    body: bytes
    expected_last: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """An event in the log: its position, its subject and its exact bytes."""

    sequence: int
    subject: str
    body: bytes


class EventLog(Protocol):
    """What both implementations do alike; `tests/contracts/event_log.py` says it in tests."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Appends all or none, and returns their sequences in order.

        Safe to repeat: events whose ids already stand at their subjects are not appended again, and their sequences
        are returned. An empty list appends nothing.

        Raises:
            Conflict: a subject's last sequence is not the expected one, and the event there is not ours.
            TooLarge: more than `BATCH_MAX` events, or one over the size limit.
            LogUnavailable: no answer in time.
        """
        ...

    async def last(self, subject: str) -> Stored | None:
        """The last event at exactly this subject, as the leader has it (reads its own writes)."""
        ...

    async def at(self, sequence: int) -> Stored | None:
        """The event at this position."""
        ...

    async def last_sequence(self) -> int:
        """The position of the newest event; 0 for an empty log."""
        ...

    async def identity(self) -> str:
        """A random id given when the log was created: another log has another, a restored one the same."""
        ...

    def read(self, *, after: int = 0, subject: str = ">") -> AsyncIterator[list[Stored]]:
        """What is in the log now, past position `after`, in order, in non-empty batches; then it ends."""
        ...

    def follow(self, *, after: int = 0, subject: str = ">") -> AsyncIterator[list[Stored]]:
        """As `read`, but goes on with what is appended later, without a gap; it outlives restarts of the server.

        It ends only when it is closed. Between events it may yield nothing for any length of time.
        """
        ...
