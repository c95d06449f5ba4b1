"""Waiting for events with a time-out, without losing any."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from events.log import LogUnavailable
from events.memory import MemoryLog
from producers.cycles.watch import AT_ONCE, BEAT_S, Silence, Watch
from tests.controls import facts
from tests.producers.driving import Fuse, FusedLog, append


async def test_nothing_in_time_is_an_empty_batch() -> None:
    async with Watch(MemoryLog().follow()) as watch:
        assert await watch.next(0.01) == []


async def test_a_time_out_loses_nothing() -> None:
    log = MemoryLog()
    async with Watch(log.follow()) as watch:
        assert await watch.next(0.01) == []
        await append(log, facts.discovered(0), facts.discovered(1))
        assert [it.sequence for it in await watch.next(10)] == [1, 2]
        assert await watch.next(0.01) == []
        await append(log, facts.discovered(2))
        assert [it.sequence for it in await watch.next(10)] == [3]


class Dense:
    """A watched log whose time stands still, but for the pauses in which more is appended."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log = MemoryLog()
        self.watch = Watch(self.log.follow(), clock=lambda: self.now_s, sleep=self._sleep)
        self.pauses_s: list[float] = []

    async def _sleep(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds
        await self.add()

    async def add(self) -> None:
        await append(self.log, facts.discovered(0, ordinal=await self.log.last_sequence() + 1))

    async def sizes(self, batches: int, timeout_s: float = 10) -> list[int]:
        """Of so many batches, for each of which there is an event at least."""
        found = []
        for _ in range(batches):
            await self.add()
            found.append(len(await self.watch.next(timeout_s)))
        return found


@pytest.fixture
async def dense() -> AsyncIterator[Dense]:
    it = Dense()
    async with it.watch:
        yield it


async def test_a_few_batches_come_as_they_are(dense: Dense) -> None:
    assert await dense.sizes(AT_ONCE) == [1] * AT_ONCE
    assert dense.pauses_s == []


async def test_many_batches_in_quick_succession_gather_for_a_beat_each(dense: Dense) -> None:
    await dense.sizes(AT_ONCE)
    assert await dense.sizes(4) == [1, 2, 2, 2]
    assert dense.pauses_s == pytest.approx([BEAT_S] * 3)


async def test_a_gathering_takes_no_longer_than_the_time_out(dense: Dense) -> None:
    await dense.sizes(AT_ONCE + 1)
    await dense.sizes(1, timeout_s=BEAT_S / 5)
    assert dense.pauses_s == pytest.approx([BEAT_S / 5])


async def test_after_a_rest_batches_come_as_they_are_again(dense: Dense) -> None:
    await dense.sizes(AT_ONCE + 1)
    dense.now_s += AT_ONCE * BEAT_S
    assert await dense.sizes(AT_ONCE) == [1] * AT_ONCE


async def test_batches_taken_in_a_hurry_delay_none_long_afterwards(dense: Dense) -> None:
    await dense.sizes(10 * AT_ONCE, timeout_s=0)
    await dense.sizes(3)
    assert dense.pauses_s == pytest.approx([BEAT_S] * 3)


async def test_what_the_log_raises_is_raised() -> None:
    log = FusedLog(MemoryLog(), Fuse(0, LogUnavailable))
    async with Watch(log.follow()) as watch:
        with pytest.raises(LogUnavailable):
            await watch.next(10)


async def test_leaving_closes_the_flow_of_events() -> None:
    log = MemoryLog()
    events = log.follow()
    async with Watch(events) as watch:
        await watch.next(0.01)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


def heard(*moments_s: float) -> tuple[Silence, list[bool]]:
    """A silence with a limit of 10 s, asked at each of these moments."""
    now = iter([0.0, *moments_s])
    silence = Silence(10.0, clock=lambda: next(now))
    return silence, [silence.is_long() for _ in moments_s]


def test_silence_is_long_from_its_limit_on() -> None:
    assert heard(9.9, 10.0)[1] == [False, True]


def test_a_long_silence_must_be_longer_each_time_up_to_eight_times() -> None:
    assert heard(10, 29, 30, 69, 70, 149, 150, 229, 230)[1] == [
        True,
        False,
        True,
        False,
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_broken_silence_begins_anew() -> None:
    now = iter([0.0, 10.0, 11.0, 21.0])
    silence = Silence(10.0, clock=lambda: next(now))
    assert silence.is_long()
    silence.broken()
    assert silence.is_long()


def test_a_silence_put_off_counts_anew_and_is_not_shorter_for_it() -> None:
    now = iter([0.0, 10.0, 15.0, 34.9, 35.0])
    silence = Silence(10.0, clock=lambda: next(now))
    assert silence.is_long()
    silence.put_off()
    assert [silence.is_long(), silence.is_long()] == [False, True]
