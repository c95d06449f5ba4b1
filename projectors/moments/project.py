"""Every event -> the second it happened in, where that is new."""

from __future__ import annotations

import re

from events.codec import TYPES
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.moments import tables
from projectors.moments.cut import cut_back
from projectors.projector import Projection


def _happened(arrival: Arrival, changes: Changes) -> None:
    changes.advance(tables.seconds, arrival.second, arrival.stored.sequence)


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    # No event is missed here if it cannot be read: a time is taken from the next one that can.
    subjects=re.compile(r"(?!)"),
    handlers=dict.fromkeys(TYPES.values(), _happened),
    cut_back=cut_back,
)
