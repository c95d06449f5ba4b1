"""Discovery against a log: exactly what changed, by however many at once."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest

from events import subjects
from events.connection import Connection
from events.event import Event
from events.log import EventLog, LogUnavailable
from events.memory import MemoryLog
from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from producers.discovery.discovery import Discovery, StaleSnapshot
from producers.discovery.registry import Registry
from producers.discovery.roster import RosterRefused, RosterSource
from tests.controls import facts
from tests.producers.driving import (
    Crash,
    Fuse,
    FusedLog,
    HandClock,
    JetStreamStage,
    MemoryStage,
    Miners,
    events_of,
    miner,
)

FEW = tuple(miner(uid) for uid in range(3))
OTHERS = (miner(0, revision="new"), miner(1, "hotkey-2"), miner(5))


async def payloads(log: EventLog) -> list[Event]:
    return [it.event for it in await events_of(log, subjects.MINERS)]


async def changed(log: EventLog) -> list[Event]:
    """All events that lead to FEW and then to OTHERS, by an undisturbed discovery."""
    miners = Miners(*FEW)
    discovery = Discovery(miners, log)
    await discovery.poll()
    miners.miners = OTHERS
    await discovery.poll()
    return await payloads(log)


async def test_what_is_appended_is_returned() -> None:
    log = MemoryLog()
    assert (
        await Discovery(Miners(*FEW), log).poll()
        == await payloads(log)
        == [facts.discovered(n, block=50) for n in range(3)]
    )


async def test_a_second_look_appends_nothing() -> None:
    log = MemoryLog()
    discovery = Discovery(Miners(*FEW), log)
    await discovery.poll()
    assert await discovery.poll() == []
    assert await log.last_sequence() == 3


async def test_after_a_restart_the_log_is_known() -> None:
    log = MemoryLog()
    await Discovery(Miners(*FEW), log).poll()
    assert await Discovery(Miners(*FEW), log).poll() == []


async def test_a_hotkeys_events_are_one_story() -> None:
    log = MemoryLog()
    await changed(log)
    moved = await events_of(log, subjects.miner(facts.hotkey(2), 1)[:-1] + "*")
    assert [type(it.event) for it in moved] == [MinerDiscovered, MinerDeparted, MinerDiscovered]
    assert {it.envelope.correlation for it in moved} == {moved[0].id}
    assert [it.envelope.causation for it in moved] == [None, moved[0].id, moved[1].id]


async def test_more_changes_than_one_batch_can_hold_are_appended() -> None:
    log = MemoryLog()
    await Discovery(Miners(*(miner(uid) for uid in range(2_345))), log).poll()
    assert len(await payloads(log)) == 2_345


async def test_a_snapshot_older_than_the_log_is_refused() -> None:
    log = MemoryLog()
    miners = Miners(*FEW)
    await Discovery(miners, log).poll()
    miners.block, miners.miners = 49, OTHERS
    with pytest.raises(StaleSnapshot, match="read at block 49, the log knows changes at block 50"):
        await Discovery(miners, log).poll()
    assert await log.last_sequence() == 3


async def test_an_old_snapshot_that_changes_nothing_is_no_trouble() -> None:
    log = MemoryLog()
    miners = Miners(*FEW)
    await Discovery(miners, log).poll()
    miners.block = 49
    assert await Discovery(miners, log).poll() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("error", [Crash, LogUnavailable])
async def test_dying_at_any_call_changes_nothing(error: type[Exception], after: bool) -> None:
    expected = await changed(MemoryLog())
    for calls in count():
        log, fuse = MemoryLog(), Fuse(calls, error, after=after)
        miners = Miners(*FEW)
        await Discovery(miners, log).poll()
        miners.miners = OTHERS
        try:
            await Discovery(miners, FusedLog(log, fuse)).poll()
        except Crash:
            await Discovery(miners, log).poll()
        assert await payloads(log) == expected
        if not fuse.blown:
            break
    assert calls >= (1 if after else 3)


async def test_a_bad_roster_changes_nothing_until_it_is_mended(tmp_path: Path) -> None:
    path, log = tmp_path / "roster.toml", MemoryLog()
    good = '[[miner]]\nhotkey="h"\nuid=1\nendpoint="http://h"\nrepo="u/n"\nrevision="{}"\ncommitted_block=1\n'
    discovery = Discovery(RosterSource(path, HandClock().blocks()), log)
    await asyncio.to_thread(path.write_text, good.format("one"))
    await discovery.poll()
    await asyncio.to_thread(path.write_text, good.format("two").replace("uid=1", "uid=-1"))
    with pytest.raises(RosterRefused, match=f"{path}:3: miner 'h': uid is -1"):
        await discovery.poll()
    assert len(await payloads(log)) == 1
    await asyncio.to_thread(path.write_text, good.format("two"))
    assert [type(it) for it in await discovery.poll()] == [MinerCommitmentChanged]


class Racing:
    async def test_discoveries_at_once_append_each_fact_once(self, log: EventLog) -> None:
        miners = Miners(*FEW)
        discoveries = [Discovery(miners, log) for _ in range(4)]
        await asyncio.gather(*(discovery.poll() for discovery in discoveries))
        miners.miners = OTHERS
        await asyncio.gather(*(discovery.poll() for discovery in discoveries))
        assert await payloads(log) == await changed(MemoryLog())

    async def test_discoveries_with_different_snapshots_agree_in_the_end(self, log: EventLog) -> None:
        one, other = Miners(*FEW), Miners(*OTHERS)
        await asyncio.gather(Discovery(one, log).poll(), Discovery(other, log).poll())
        await Discovery(other, log).poll()
        registry = Registry()
        await registry.catch_up(log)
        assert [(it.uid, it.hotkey) for it in registry.holders()] == [(it.uid, it.hotkey) for it in OTHERS]
        assert registry.holders() == sorted(registry.registered(), key=lambda it: it.uid)


class TestRacingInMemory(Racing):
    @pytest.fixture
    async def log(self) -> EventLog:
        return MemoryStage().log


class TestRacingOnJetStream(Racing):
    @pytest.fixture
    async def log(self, nats: Connection) -> EventLog:
        return JetStreamStage(nats).log
