"""A uid that changes hands in the middle of a cycle: its episodes and its weight stay those of who was planned."""

from __future__ import annotations

import pytest

from consumers.scoring.handler import Scoring
from events import subjects
from events.codec import decode_as
from events.cycles import CyclePlanned
from events.episodes import EpisodeCompleted
from events.ids import CycleId, Uid
from events.tasks import EpisodeTask
from events.weights import WeightsComputed
from producers.discovery.discovery import Discovery
from tests.controls import facts
from tests.producers.driving import (
    Crash,
    Fuse,
    FusedQueue,
    MemoryStage,
    Miners,
    check_whole,
    drive,
    events_of,
    miner,
    worker,
)

SLOT = Uid(0)
OLD, NEW = facts.hotkey(0), facts.hotkey(5)


@pytest.fixture
async def stage() -> MemoryStage:
    """After a cycle that was half done when a new hotkey took the slot of a planned one."""
    stage, miners = MemoryStage(), Miners(miner(0), miner(1))
    discovery = Discovery(miners, stage.log)
    await discovery.poll()
    with pytest.raises(Crash):
        await drive(stage, queue=FusedQueue(stage.queue, Fuse(0)))
    miners.block, miners.miners = 60, (miner(0, NEW, revision="fedcba98"), miner(1))
    assert [(it.hotkey, it.uid) for it in await discovery.poll()] == [(OLD, SLOT), (NEW, SLOT)]
    async with worker(stage, good_in_the_slot):
        await drive(stage)
    await check_whole(stage.log)
    await Scoring(stage.log).catch_up()
    return stage


def good_in_the_slot(task: EpisodeTask) -> EpisodeCompleted:
    assert task.hotkey == facts.hotkey(task.uid)
    assert task.endpoint == facts.commitment(task.uid).endpoint
    return facts.completed(task.key, success=task.uid == SLOT)


async def test_the_episodes_stay_with_the_hotkey_that_was_planned(stage: MemoryStage) -> None:
    outcomes = [it.event for it in await events_of(stage.log, subjects.OUTCOMES)]
    of_slot = [it.hotkey for it in outcomes if isinstance(it, EpisodeCompleted) and it.uid == SLOT]
    assert of_slot == [OLD] * 4


async def test_the_new_hotkey_is_given_no_weight(stage: MemoryStage) -> None:
    (recorded,) = await events_of(stage.log, subjects.WEIGHTS)
    weights = recorded.event
    assert isinstance(weights, WeightsComputed)
    best = max(weights.standings, key=lambda it: float(it.weight))
    assert (best.uid, best.hotkey) == (SLOT, OLD)
    named = [it.subject for it in await events_of(stage.log) if NEW.encode() in it.body]
    assert named == [subjects.miner(NEW, 1)]


async def test_the_next_cycle_evaluates_the_new_hotkey(stage: MemoryStage) -> None:
    async with worker(stage):
        await drive(stage, cycle=CycleId(2))
    stored = await stage.log.last(subjects.plan(CycleId(2)))
    assert stored is not None
    roster = decode_as(CyclePlanned, stored).event.roster
    assert [(it.uid, it.hotkey) for it in roster] == [(0, NEW), (1, facts.hotkey(1))]
