"""An event on its way to readers: as a frame that is encoded once, with what filters ask for."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from events.for_people import ForPeople
from events.log import Stored

Attribute = str | int | None


class Unstreamable(ForPeople):
    """The log holds bytes that none of our programs writes, and that no reader could tell from others."""


class Entry(NamedTuple):
    """An event at `sequence`. The attributes are None where the event has none of the kind."""

    sequence: int
    subject: str
    type: str
    cycle: Attribute
    uid: Attribute
    hotkey: Attribute
    env: Attribute
    frame: bytes
    """As SSE has it: `id:`, `event:`, `data:` and an empty line."""
    data_at: int
    """Where in the frame the event's exact bytes begin; 0 if it cannot be streamed. Two line feeds follow them."""

    @property
    def body(self) -> bytes:
        """The event's exact bytes."""
        return self.frame[self.data_at : -2]

    def check(self) -> None:
        """Raises `Unstreamable` rather than leave it out."""
        if not self.data_at:
            raise Unstreamable(
                f"the event at sequence {self.sequence} ({self.subject}) is not a JSON document with a type, on one"
                f" line: a stranger wrote it; restore the log, or go on after it with from_seq={self.sequence + 1}"
            )


def entry_of(stored: Stored) -> Entry:
    """Reads no more of the event than its type and whom it is about."""
    sequence, subject, body = stored
    try:
        document = orjson.loads(body)
        kind, data = document["type"], document["data"]
        cycle, uid, hotkey, env = (data.get(name) for name in ("cycle", "uid", "hotkey", "env"))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return _unstreamable(stored)
    if b"\n" in body or b"\r" in body or type(kind) is not str or not kind.isprintable():
        return _unstreamable(stored)
    head = f"id: {sequence}\nevent: {kind}\ndata: ".encode()
    return Entry(sequence, subject, kind, cycle, uid, hotkey, env, b"%b%b\n\n" % (head, body), len(head))


def _unstreamable(stored: Stored) -> Entry:
    return Entry(stored.sequence, stored.subject, "", None, None, None, None, b"", 0)
