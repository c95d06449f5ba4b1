"""What `kinitro db inspect` prints of a read model."""

from __future__ import annotations

import json
import textwrap

import orjson

from events.log import Stored
from projectors.inspection import Obstacle
from projectors.operations import ProjectionStatus

BYTES_SHOWN = 500


def inspected(status: ProjectionStatus, found: Obstacle | None) -> str:
    """Lines about one read model: one where nothing stands in its way."""
    if found is None:
        if status.version is None:
            return f"{status.name}: no projector has begun yet"
        return f"{status.name}: at sequence {status.sequence}, {status.lag} behind; nothing stands in its way"
    lines = [
        f"{status.name}: stopped; it stands at sequence {status.sequence}, {status.lag} behind",
        f"  told then  {status.error}",
        f"  found now  {found.refusal or 'nothing wrong with it'}",
        f"  remedy     {found.remedy}",
        f"  event      {found.sequence}",
    ]
    return "\n".join(lines if found.stored is None else [*lines, textwrap.indent(_event(found.stored), "    ")])


def _event(stored: Stored) -> str:
    try:
        text = json.dumps(orjson.loads(stored.body), indent=2, ensure_ascii=False)
    except ValueError:
        text = f"{len(stored.body)} bytes, no JSON: {stored.body[:BYTES_SHOWN]!r}"
    return f"{stored.subject}\n{text}"
