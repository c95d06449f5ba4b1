"""The log: an append-only sequence of events, each at a subject. It knows nothing about what they mean.

LogError
├── BadLogUrl         not the URL of a NATS server
├── AccessDenied      the server does not let us in, or not do that, or is not to be trusted
├── LogUnavailable    no answer in time; the same call may be made again, with the same ids
├── Conflict          the subject holds another event than expected
├── TooLarge          one event, or the batch, is over the server's limits
├── LogDamaged        events that were there are gone, or this is another log than before
└── StreamMismatch    the stream is missing, or has settings that we would not have chosen
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from events.for_people import ForPeople

BATCH_MAX = 1_000
"""How many events one atomic append can hold: the server's own limit."""

SERVER_PAYLOAD_MAX = 8 * 1024 * 1024
"""`max_payload` of the servers that we configure: body and headers of one message."""

BODY_BYTES_MAX = 8_000_000
"""How long one event can be: `SERVER_PAYLOAD_MAX`, with room for the headers."""

BATCH_BYTES_MAX = 64 * 1024 * 1024
"""How long all the events of one append can be: they are sent as one buffer."""

_ON_THE_WIRE = re.compile(r"[!-~]{1,1000} [!-~]{1,64}")
"""Subject and id."""


class LogError(ForPeople):
    """The log could not do what was asked."""


class BadLogUrl(LogError):
    """Not the URL of a NATS server; correct it."""


class AccessDenied(LogError):
    """Password, authority or right is missing or wrong. Nothing was done; trying again would not help."""


class LogUnavailable(LogError):
    """No answer in time. What was to be appended may or may not be there: repeat the call with the same ids."""


class Conflict(LogError):
    """Somebody else's event stands where ours was to be. Read the subject: the log is right."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject}: expected last sequence {expected}, the log has {actual}")
        self.subject, self.expected, self.actual = subject, expected, actual


class TooLarge(LogError):
    """The server would refuse this much at once; append less."""


class LogDamaged(LogError):
    """The log lacks events that it held before. Restore it from its backup, or rebuild what was derived from it."""


class StreamMismatch(LogError):
    """A stream is not as we create it. The message names each setting: expected, actual, remedy."""


Filter = str | tuple[str, ...]
"""Which subjects: one filter as NATS has them, or several of which no two select the same subject.

`*` stands for one token, a final `>` for one or more.
"""


class Draft(NamedTuple):
    """An event to append. `expected_last` is the sequence of the last event at `subject`: 0 for none.

    With `log_ends_at` it is appended only while that is the sequence of the newest event of the whole log: for what
    must not miss anything. In a batch it goes with the first, and holds for all of them.
    """

    subject: str
    id: str
    body: bytes
    expected_last: int = 0
    log_ends_at: int | None = None


class Stored(NamedTuple):
    """An event in the log: its position, its subject and its exact bytes."""

    sequence: int
    subject: str
    body: bytes


def check_drafts(drafts: Sequence[Draft]) -> None:
    """What every log refuses before it looks at what it holds.

    Raises:
        TooLarge: more than `BATCH_MAX` events, one over `BODY_BYTES_MAX`, or all over `BATCH_BYTES_MAX`.
        ValueError: a subject or an id that stands twice among the drafts or cannot go over the wire; one that is
            not the first has `log_ends_at`.
    """
    if len(drafts) > BATCH_MAX:
        raise TooLarge(f"{len(drafts)} events at once, the limit is {BATCH_MAX}: append them in parts")
    total = 0
    for subject, identity, body, *_ in drafts:
        total += len(body)
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge(f"{subject}: {len(body)} bytes, the limit is {BODY_BYTES_MAX}: store less")
        if not _ON_THE_WIRE.fullmatch(f"{subject} {identity}"):
            raise ValueError(f"subject {subject!r} or id {identity!r} is not of printable ASCII without spaces")
    if total > BATCH_BYTES_MAX:
        raise TooLarge(f"{total} bytes at once, the limit is {BATCH_BYTES_MAX}: append them in parts")
    if len({draft.subject for draft in drafts}) < len(drafts) or len({draft.id for draft in drafts}) < len(drafts):
        raise ValueError("two events of one append have the same subject or the same id: a subject holds one event")
    if any(draft.log_ends_at is not None for draft in drafts[1:]):
        raise ValueError("log_ends_at goes with the first event of an append: it holds for all of them")


class EventLog(Protocol):
    """What both implementations do alike; `tests/contracts/event_log.py` says it in tests."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Appends all or none, and returns their sequences in order.

        Safe to repeat: events whose ids already stand last at their subjects are not appended again, and their
        sequences are returned. An empty list appends nothing.

        Raises:
            Conflict: a subject's last sequence is not the expected one, and the event there is not ours; or the log
                goes further than `log_ends_at`.
            TooLarge: more than `BATCH_MAX` events, or one over the size limit.
            ValueError: two of the drafts have the same subject or the same id.
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

    def read(self, *, after: int = 0, subject: Filter = ">") -> AsyncGenerator[list[Stored], None]:
        """What is in the log now, past position `after`, in order, in non-empty batches; then it ends.

        Raises:
            LogDamaged: a sequence is missing.
            LogUnavailable: no answer in time.
        """
        ...

    def follow(self, *, after: int = 0, subject: str = ">") -> AsyncGenerator[list[Stored], None]:
        """As `read`, but goes on with what is appended later, without a gap; it outlives restarts of the server.

        It ends only when it is closed. Between events it may yield nothing for any length of time.

        Raises:
            LogDamaged: the log was replaced or lost events, while it was followed or before `after`.
        """
        ...
