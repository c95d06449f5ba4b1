"""An event as projections see it: opened once for all of them, checked in full where one asks for it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import orjson

from events.codec import TYPES, CodecError, decode, decode_as
from events.envelope import RecordedEvent
from events.event import Event
from events.log import Stored

E = TypeVar("E", bound=Event)

_AS_WRITTEN = ("T.", "TZ", "T+")
"""The characters before the hour and after the second, as our codec writes them: then nothing needs parsing."""


class Arrival:
    """An event of a known type, at its own subject, with the fields of the present version.

    Checking all its fields takes longer than reading it from the log and writing it to the database together. They
    were checked when the event was written; so for events that come by the million a handler may take what it needs
    from `data`. What is missing there stops the projection like an event that cannot be read, and what has the wrong
    type PostgreSQL refuses. Handlers of rare events use `recorded`.
    """

    __slots__ = ("_document", "data", "kind", "stored")

    def __init__(self, stored: Stored, kind: type[Event], document: dict[str, Any], data: dict[str, Any]) -> None:
        self.stored = stored
        self.kind = kind
        self.data = data
        """The fields as JSON has them, unchecked."""
        self._document = document

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self._document["time"])

    @property
    def second(self) -> str:
        """The time without its fraction, in UTC, as `2026-01-02T03:04:05`."""
        text: str = self._document["time"]
        return text[:19] if text[10:20:9] in _AS_WRITTEN else self.time.isoformat()[:19]

    def recorded(self, kind: type[E]) -> RecordedEvent[E]:
        """The event with all its fields checked.

        Raises:
            MalformedEvent: they are not those of this kind.
        """
        return decode_as(kind, self.stored)


def opened(stored: Stored) -> Arrival | CodecError:
    """The event, or why it is none that this program knows."""
    try:
        document = orjson.loads(stored.body)
        kind = TYPES[document["type"]]
        if document["schemaversion"] == kind.schema_version and document["subject"] == stored.subject:
            return Arrival(stored, kind, document, document["data"])
    except (KeyError, TypeError, ValueError):
        pass  # what is wrong with it, the codec says
    try:
        recorded = decode(stored)
    except CodecError as error:
        return error
    return Arrival(stored, type(recorded.event), document, recorded.event.model_dump(mode="json"))
