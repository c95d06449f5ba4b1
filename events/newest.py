"""Which cycle is the newest, and which event of a kind that is numbered without gaps."""

from __future__ import annotations

from collections.abc import Callable

from events import subjects
from events.codec import decode
from events.discovery import DiscoveryDegraded
from events.envelope import RecordedEvent
from events.ids import CycleId
from events.log import EventLog


async def newest_cycle(log: EventLog) -> CycleId:
    """The number of the newest cycle that has a plan; 0 for none.

    Raises:
        LogUnavailable: no answer in time.
    """
    return CycleId(await _newest(log, lambda number: subjects.plan(CycleId(number))))


async def discovery_trouble(log: EventLog) -> RecordedEvent[DiscoveryDegraded] | None:
    """Since when and why the chain cannot be read; None while it can, or where there is none.

    Raises:
        LogUnavailable: no answer in time.
        CodecError: a newer program wrote what there is.
    """
    ordinal = await _newest(log, subjects.discovery)
    stored = await log.last(subjects.discovery(ordinal)) if ordinal else None
    recorded = None if stored is None else decode(stored)
    if recorded is None or not isinstance(recorded.event, DiscoveryDegraded):
        return None
    return recorded  # type: ignore[return-value]  # the check above narrows the payload, not the wrapper


async def _newest(log: EventLog, subject: Callable[[int], str]) -> int:
    """The highest number whose subject holds an event. They are consecutive from 1, so it can be bisected."""
    there, absent = 0, 1
    while await log.last(subject(absent)) is not None:
        there, absent = absent, absent * 2
    while absent - there > 1:
        middle = (there + absent) // 2
        if await log.last(subject(middle)) is None:
            absent = middle
        else:
            there = middle
    return there
