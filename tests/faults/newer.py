"""`kinitro` as a newer version of it would be: it knows one kind of event more, and another version of copies."""

from __future__ import annotations

from typing import ClassVar

from events.codec import TYPES
from events.copies import CopiesFound
from events.event import Event
from events.ids import CycleId

COPIES_VERSION = 99


class CycleNoted(Event):
    """Something about a cycle from which nothing follows."""

    type: ClassVar[str] = "kinitro.cycle.noted"
    cycle: CycleId


if __name__ == "__main__":
    from kinitro import main

    TYPES[CycleNoted.type] = CycleNoted
    CopiesFound.schema_version = COPIES_VERSION
    main()
