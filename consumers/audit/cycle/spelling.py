"""Whether an event is spelled as the backend spells it. Pure.

Where no root covers the bytes, two spellings of one event would pass for the same. But not everybody reads them
alike: of a name that stands twice some take the first value, and `"no"` is true to some who expect a boolean.
"""

from __future__ import annotations

import orjson

from consumers.audit.cycle.lines import Line
from consumers.audit.cycle.verdicts import Difference
from events.codec import encode
from events.envelope import RecordedEvent
from events.event import Event

AROUND_BYTES = 60
"""How much of both is shown from where they part."""


def written_otherwise(line: Line, recorded: RecordedEvent[Event]) -> Difference | None:
    """Where the bytes are not those that `events.codec` makes of the event.

    Of an event in an older version only the JSON is compared: its fields are not written any more.
    """
    read = orjson.loads(line.body)
    is_current = read["schemaversion"] == recorded.event.schema_version
    expected = encode(recorded.envelope, recorded.subject) if is_current else orjson.dumps(read)
    if expected == line.body:
        return None
    pairs = zip(expected, line.body, strict=False)
    parted = next(
        (at for at, (should, does) in enumerate(pairs) if should != does), min(len(expected), len(line.body))
    )
    return Difference(f"{line.where}, byte {parted + 1}", _shown(expected, parted), _shown(line.body, parted))


def _shown(body: bytes, parted: int) -> str:
    """Ten bytes before, for orientation."""
    shown = body[max(0, parted - 10) : parted + AROUND_BYTES]
    return repr(shown.decode(errors="replace")) if parted < len(body) else "the end of the line"
