"""Trouble with the chain is in the log when it begins and when it ends, however often and by whomever it is told."""

from __future__ import annotations

import pytest

from events import subjects
from events.chain.trouble import ChainTrouble, NoConnection, NoSubnet
from events.discovery import DegradedCode, DiscoveryDegraded, DiscoveryRestored
from events.event import TEXT_MAX
from events.event import Event as AnyEvent
from events.memory import MemoryLog
from events.newest import discovery_trouble
from producers.discovery.condition import CODES, Condition
from producers.discovery.discovery import StaleSnapshot
from tests.producers.driving import events_of

AWAY = NoConnection("chain node ws://127.0.0.1:1 cannot be reached")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


async def told(log: MemoryLog) -> list[AnyEvent]:
    return [it.event for it in await events_of(log, subjects.DISCOVERY)]


async def test_trouble_is_told_once_from_its_beginning_to_its_end(log: MemoryLog) -> None:
    condition = Condition(log)
    await condition.good(99)
    for _ in range(3):
        await condition.degraded(AWAY)
    found = await discovery_trouble(log)
    assert found is not None
    assert (found.event.code, found.event.detail) == (DegradedCode.NO_CONNECTION, str(AWAY))
    for block in (100, 101):
        await condition.good(block)

    first, second = await events_of(log, subjects.DISCOVERY)
    assert first.event == DiscoveryDegraded(ordinal=1, code=DegradedCode.NO_CONNECTION, detail=str(AWAY))
    assert second.event == DiscoveryRestored(ordinal=2, block=100)
    assert second.envelope.causation == first.id
    assert await discovery_trouble(log) is None


async def test_after_a_restart_the_same_trouble_is_not_told_again_and_its_end_is(log: MemoryLog) -> None:
    await Condition(log).degraded(AWAY)
    after = Condition(log)
    await after.degraded(AWAY)
    await after.good(100)

    assert [type(it) for it in await told(log)] == [DiscoveryDegraded, DiscoveryRestored]


async def test_where_one_reads_the_chain_and_another_does_not_the_log_stops_growing(log: MemoryLog) -> None:
    one, other = Condition(log), Condition(log)
    for block in range(100, 120):
        await one.degraded(AWAY)
        await other.good(block)

    assert len(await told(log)) == 2


async def test_a_block_behind_once_is_no_trouble_and_twice_is(log: MemoryLog) -> None:
    condition, behind = Condition(log), StaleSnapshot("the log knows a later block")
    await condition.degraded(behind)
    await condition.good(100)
    await condition.degraded(behind)
    assert await told(log) == []

    await condition.degraded(behind)
    assert [it.code for it in await told(log) if isinstance(it, DiscoveryDegraded)] == [DegradedCode.STALE]


async def test_a_long_reason_is_cut(log: MemoryLog) -> None:
    await Condition(log).degraded(NoSubnet("x" * 2 * TEXT_MAX))

    (event,) = await told(log)
    assert isinstance(event, DiscoveryDegraded)
    assert len(event.detail) == TEXT_MAX


def test_every_kind_of_trouble_has_its_code() -> None:
    of_reading = {it for it in ChainTrouble.__subclasses__() if it.__module__ == ChainTrouble.__module__}
    assert set(CODES) == {*of_reading, StaleSnapshot}
    assert sorted(CODES.values()) == sorted(DegradedCode)
