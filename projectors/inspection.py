"""Why a projection has stopped: the event in its way, what this program makes of it now, and what to do."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

from events.codec import UnknownEventType
from events.log import EventLog, Stored
from projectors.arrival import opened
from projectors.changes import Changes
from projectors.operations import ProjectionStatus
from projectors.projector import Projection, Unprojectable

_EVENT = re.compile(r"event at sequence (\d+) \(")
"""As errors of projectors name it."""
_OURS, _PACKAGES = Path(__file__).parent.parent, ("events", "projectors")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The event that a projection has stopped at."""

    sequence: int
    stored: Stored | None
    """None where the log has no such event (any more)."""
    refusal: str | None
    """Why this program cannot fold it, with the place in our code; None where it can."""
    remedy: str


async def obstacle(log: EventLog, projection: Projection, status: ProjectionStatus) -> Obstacle | None:
    """What stands in the way of a projection; None where nothing does.

    Raises:
        LogError: the log does not answer.
    """
    if status.error is None:
        return None
    named = _EVENT.search(status.error)
    sequence = int(named[1]) if named else status.sequence + 1
    stored = await log.at(sequence)
    error = None if stored is None else _refused(projection, stored)
    return Obstacle(
        sequence=sequence,
        stored=stored,
        refusal=None if error is None else f"{type(error).__name__} at {_place(error)}: {error}",
        remedy=_remedy(projection.name, stored, error),
    )


def _refused(projection: Projection, stored: Stored) -> BaseException | None:
    try:
        projection.fold(stored, opened(stored), Changes())
    except Unprojectable as error:
        return error.__cause__
    return None


def _place(error: BaseException) -> str:
    """The innermost line of ours, as `projectors/weights/project.py:27 in _computed`."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_OURS) and path.relative_to(_OURS).parts[0] in _PACKAGES:
            return f"{path.relative_to(_OURS)}:{frame.lineno} in {frame.name}"
    return "a place that is not ours"


def _remedy(name: str, stored: Stored | None, error: BaseException | None) -> str:
    again = f"a restarted projector tries again; kinitro replay {name} makes the read model anew"
    if stored is None:
        return "the log has no such event now; restart the projector, which compares log and read models"
    if isinstance(error, UnknownEventType):
        return f"a newer program wrote it: upgrade this one; {again}"
    if error is not None:
        return f"a release that can read it, or the log as it was before somebody altered it, is needed; {again}"
    return f"this program can fold it: {again}. If it stops once more, the database refuses a value: see the error"
