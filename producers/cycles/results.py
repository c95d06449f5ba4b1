"""What a cycle came to, as the log has it."""

from __future__ import annotations

from contextlib import aclosing

from events import subjects
from events.codec import decode
from events.ids import CycleId
from events.log import EventLog, Stored
from events.weights import WeightsComputed, WeightsWithheld


async def result_of(events_log: EventLog, number: CycleId) -> WeightsComputed | WeightsWithheld | None:
    """What a cycle came to; None while it is not scored."""
    stored = await events_log.last(subjects.weights(number))
    return None if stored is None else scored_event(stored)


def scored_event(stored: Stored) -> WeightsComputed | WeightsWithheld:
    """The event at a subject that only these two can have."""
    event = decode(stored).event
    assert isinstance(event, WeightsComputed | WeightsWithheld), f"{stored.subject} holds a {event.type}"
    return event


async def signed(log: EventLog, cycle: CycleId) -> WeightsComputed | WeightsWithheld:
    """What the cycle came to, once that is signed."""
    result = await _scored(log, cycle)
    await _first(log, subjects.signed_root(cycle))
    if isinstance(result, WeightsComputed):
        await _first(log, subjects.signed_weights(cycle))
    return result


async def _scored(log: EventLog, cycle: CycleId) -> WeightsComputed | WeightsWithheld:
    """What the cycle came to, once it is scored."""
    return scored_event(await _first(log, subjects.weights(cycle)))


async def _first(log: EventLog, subject: str) -> Stored:
    """The event at a subject, once it is there."""
    async with aclosing(log.follow(subject=subject)) as batches:
        async for batch in batches:
            return batch[0]
    raise AssertionError("a log is followed for ever")
