"""Which cycle is the newest."""

from __future__ import annotations

from events import subjects
from events.ids import CycleId
from events.log import EventLog


async def newest_cycle(log: EventLog) -> CycleId:
    """The number of the newest cycle that has a plan; 0 for none. Cycles are consecutive, so it can be bisected.

    Raises:
        LogUnavailable: no answer in time.
    """
    planned, unplanned = 0, 1
    while await log.last(subjects.plan(CycleId(unplanned))) is not None:
        planned, unplanned = unplanned, unplanned * 2
    while unplanned - planned > 1:
        middle = (planned + unplanned) // 2
        if await log.last(subjects.plan(CycleId(middle))) is None:
            unplanned = middle
        else:
            planned = middle
    return CycleId(planned)
