"""What comes out of the log goes on in order, without a gap, each event once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from events.codec import CodecError, MalformedEvent, UnknownEventType, draft
from events.envelope import begin
from events.event import Event
from events.log import Stored
from projectors.arrival import Arrival, opened
from projectors.checkpoint import LogGap
from projectors.cycles.project import PROJECTION as CYCLES
from projectors.feed import Feed
from tests.controls import facts

NEVER = asyncio.Event()
VERSION = b'"schemaversion":%d' % facts.planned().schema_version


def stored(event: Event, sequence: int) -> Stored:
    it = draft(begin(event, source="/test", time=facts.MOMENT))
    return Stored(sequence, it.subject, it.body)


STORED = [stored(event, number) for number, event in enumerate(facts.whole_cycle(), 1)]


async def delivered(parts: Sequence[Sequence[Stored]]) -> AsyncIterator[list[Stored]]:
    for part in parts:
        yield list(part)


async def collected(parts: Sequence[Sequence[Stored]], *, after: int = 0) -> list[int]:
    feed = Feed(delivered(parts), {CYCLES: after})
    sequences: list[int] = []
    while not feed.ended:
        batch = await feed.next(NEVER, timeout_s=60)
        sequences += [it.sequence for it in batch.events] if batch else []
    await feed.close()
    return sequences


async def test_events_that_are_delivered_again_are_passed_over() -> None:
    assert await collected([STORED[:5], STORED[2:8], STORED[8:]]) == list(range(1, 13))


async def test_what_lies_before_the_position_is_passed_over() -> None:
    assert await collected([STORED[:5], STORED[5:]], after=3) == list(range(4, 13))


@pytest.mark.parametrize("parts", [[STORED[:2], STORED[3:]], [STORED[1:]], [[STORED[0], STORED[2]]]])
async def test_a_missing_event_is_loud(parts: list[list[Stored]]) -> None:
    with pytest.raises(LogGap, match=r"where . was expected"):
        await collected(parts)


async def test_waiting_ends_when_interrupted() -> None:
    async def silent() -> AsyncIterator[list[Stored]]:
        await asyncio.Event().wait()
        yield []

    interrupt = asyncio.Event()
    feed = Feed(silent(), {CYCLES: 0})
    waiting = asyncio.create_task(feed.next(interrupt, timeout_s=60))
    interrupt.set()
    assert await waiting is None
    await feed.close()


def spoilt(body: bytes) -> Arrival | CodecError:
    return opened(Stored(1, STORED[0].subject, body))


def test_an_event_is_opened_with_its_kind_and_fields() -> None:
    arrival = opened(STORED[0])
    assert isinstance(arrival, Arrival)
    assert arrival.kind is type(facts.planned())
    assert arrival.data == facts.planned().model_dump(mode="json")
    assert arrival.time == facts.MOMENT
    assert arrival.recorded(type(facts.planned())).event == facts.planned()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedEvent),
        (b"[]", MalformedEvent),
        (b"{}", MalformedEvent),
        (STORED[0].body.replace(b"kinitro.cycle.planned", b"kinitro.cycle.dreamt"), UnknownEventType),
        (STORED[0].body.replace(VERSION, b'"schemaversion":99'), UnknownEventType),
        (STORED[0].body.replace(b"evt.cycle.1.plan", b"evt.cycle.2.plan"), MalformedEvent),
    ],
)
def test_what_is_no_event_of_ours_is_said_to_be_none(body: bytes, error: type[CodecError]) -> None:
    assert type(spoilt(body)) is error
