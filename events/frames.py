"""What goes over the wire to append: NATS protocol frames, all of one append in one buffer.

A frame is `HPUB <subject> [<reply>] <header bytes> <total bytes>`, the headers, the body. An atomic batch is told by
its headers: one id, a sequence counting from 1, and the commit on the last message, the only one that is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from events.log import Draft

ID_HEADER = "Event-Id"
"""Holds `Draft.id`. Not `Nats-Msg-Id`: the server would forget it after two minutes and refuse batches because of it,
where the expected last sequence of the subject already keeps repeats out for ever."""

_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_LOG_ENDS_AT = "Nats-Expected-Last-Sequence"
_COMMIT = "Nats-Batch-Commit: 1\r\n"
HEADER_BYTES_MAX = 512
"""No header block of ours is longer."""


def request(subject: str, reply: str, body: bytes) -> bytes:
    """One message without headers that asks for an answer."""
    return b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(body), body)


def publish(subject: str, body: bytes) -> bytes:
    """One message without headers that nobody answers."""
    return b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body)


def append(drafts: Sequence[Draft], reply: str) -> bytes:
    """One event as a plain publish, several as an atomic batch that is stored whole or not at all."""
    batch = f"Nats-Batch-Id: {uuid4().hex}\r\nNats-Batch-Sequence: " if len(drafts) > 1 else ""
    pieces: list[bytes] = []
    for number, draft in enumerate(drafts, start=1):
        place = f"{batch}{number}\r\n" if batch else ""
        answer = ""
        if number == len(drafts):
            place, answer = f"{place}{_COMMIT}" if batch else "", f" {reply}"
        if draft.log_ends_at is not None:
            place = f"{place}{_LOG_ENDS_AT}: {draft.log_ends_at}\r\n"
        header = f"NATS/1.0\r\n{place}{_EXPECTED}: {draft.expected_last}\r\n{ID_HEADER}: {draft.id}\r\n\r\n"
        size = len(header)
        pieces.append(f"HPUB {draft.subject}{answer} {size} {size + len(draft.body)}\r\n{header}".encode())
        pieces.append(draft.body)
        pieces.append(b"\r\n")
    return b"".join(pieces)
