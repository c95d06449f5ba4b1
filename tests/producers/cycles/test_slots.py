"""The second look at the subnet, when all outcomes are there: who still holds its uid?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count

import pytest

from consumers.scoring.handler import Scoring
from events import subjects
from events.chain.trouble import NoConnection
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.episodes import EpisodeCompleted
from events.ids import Hotkey, Uid
from events.log import LogUnavailable
from events.metagraph import SlotsChecked
from events.seeds import commitment_to, cycle_secret
from events.tasks import EpisodeTask
from events.weights import WeightsComputed
from producers.cycles import slots
from producers.cycles.errors import ForeignChain
from producers.cycles.pin import ReadSubnet
from producers.cycles.state import Step, next_step
from producers.discovery.metagraph import MetagraphSnapshot, Neuron
from tests.chain.subnets import hotkey
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_of
from tests.eventually import eventually
from tests.producers.driving import (
    CYCLE,
    MASTER_KEY,
    Crash,
    Fuse,
    FusedLog,
    FusedQueue,
    MemoryStage,
    append,
    drive,
    events_of,
    fold,
    queued,
    story,
    worker,
)
from tests.producers.on_chain import Scene, on_chain, seeded

SLOT, NEW = Uid(1), hotkey(99)
PLAN = facts.planned(chain=facts.chain_terms()).model_copy(
    update={"secret_commitment": commitment_to(cycle_secret(MASTER_KEY, CYCLE))}
)


# Over a chain.


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with on_chain() as scene:
        yield scene


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS_WITHIN_S", 0.2)


def others_too(task: EpisodeTask) -> EpisodeCompleted:
    """Of the slot and of uid 0, who committed first: each wins the environment that the other fails."""
    won = {SLOT: facts.REACH, Uid(0): facts.PUSH}.get(task.uid)
    return facts.completed(task.key, success=task.env == won).model_copy(update={"hotkey": task.hotkey})


async def ended(scene: Scene, *, change_hands: bool) -> list[SlotsChecked]:
    """The slots of a whole cycle in which a new hotkey may take the slot of a planned one."""
    running_cycle = asyncio.create_task(scene.once())
    await seeded(scene)
    await eventually(queued(scene.stage, 12))
    if change_hands:
        scene.chain.register(NEW, uid=SLOT)
        scene.chain.advance()
    async with worker(scene.stage, others_too):
        await running_cycle
    await Scoring(scene.stage.log).catch_up()
    return [it for it in await scene.of(SlotsChecked) if isinstance(it, SlotsChecked)]


async def test_a_uid_that_changed_hands_is_noted_under_the_root(scene: Scene) -> None:
    (checked,) = await ended(scene, change_hands=True)
    assert checked.moved == (SLOT,)
    assert "0x" + checked.block_hash == scene.chain.hash_of(checked.block)
    *_, last, seal = await events_of(scene.stage.log, subjects.cycle(CYCLE))
    assert (last.event, last.subject) == (checked, subjects.slots(CYCLE))
    assert isinstance(seal.event, CycleSealed)
    assert seal.event.last_sequence == last.sequence
    assert seal.event.tree_size == 16


async def test_the_old_hotkey_keeps_its_standing_without_weight_and_the_new_one_stands_nowhere(scene: Scene) -> None:
    await ended(scene, change_hands=True)
    (weights,) = await scene.of(WeightsComputed)
    assert isinstance(weights, WeightsComputed)
    gone = weights.standings[SLOT]
    assert (gone.hotkey, gone.moved, float(gone.weight)) == (hotkey(SLOT), True, 0)
    assert int(gone.points) > 0
    assert weights.weights_u16.values[SLOT] == 0
    assert sum(weights.weights_u16.values) == 65_535
    named = [it.subject for it in await events_of(scene.stage.log) if NEW.encode() in it.body]
    assert all(name.startswith(f"evt.miner.{NEW}.") for name in named)


async def test_where_nobody_moved_that_is_noted_and_all_are_paid(scene: Scene) -> None:
    (checked,) = await ended(scene, change_hands=False)
    assert checked.moved == ()
    (weights,) = await scene.of(WeightsComputed)
    assert isinstance(weights, WeightsComputed)
    assert not any(it.moved for it in weights.standings)
    assert weights.weights_u16.values[SLOT] > 0


@pytest.mark.usefixtures("impatient")
async def test_a_chain_that_is_away_at_the_end_moves_nobody(scene: Scene) -> None:
    running_cycle = asyncio.create_task(scene.once())
    await seeded(scene)
    await eventually(queued(scene.stage, 12))
    await scene.node.stop()
    async with worker(scene.stage):
        await running_cycle
    assert await scene.has(CycleSealed)
    assert not await scene.has(SlotsChecked)


# From the log, and a subnet that is read as told.


def subnet(
    *, block: int = 70, moved: tuple[int, ...] = (0,), netuid: int = 7, genesis: str | None = None
) -> ReadSubnet:
    terms = facts.chain_terms()
    holders = [facts.hotkey(uid + 5 if uid in moved else uid) for uid in range(2)]
    graph = MetagraphSnapshot(
        genesis=genesis or terms.genesis,
        netuid=netuid,
        block=block,
        block_hash=facts.slots_checked().block_hash,
        neurons=tuple(Neuron(Uid(uid), Hotkey(it), "coldkey", 1, 5) for uid, it in enumerate(holders)),
        commitments=(),
    )

    async def read() -> MetagraphSnapshot:
        return graph

    return read


async def away() -> MetagraphSnapshot:
    raise NoConnection("no node answers")


async def silent() -> MetagraphSnapshot:
    await asyncio.Event().wait()
    raise AssertionError


async def complete(plan: CyclePlanned = PLAN) -> MemoryStage:
    """A cycle with all its outcomes, and no end."""
    stage = MemoryStage()
    await append(stage.log, plan, facts.metagraph_recorded(), facts.seeded(block=60), *outcomes_of(plan))
    return stage


async def slots_of(stage: MemoryStage) -> SlotsChecked | None:
    return next((it.event for it in await events_of(stage.log) if isinstance(it.event, SlotsChecked)), None)


async def test_slots_are_checked_once_and_before_the_seal() -> None:
    stage = await complete()
    assert next_step(await fold(stage.log), facts.MOMENT) is Step.CHECK_SLOTS
    await append(stage.log, facts.slots_checked())
    assert next_step(await fold(stage.log), facts.MOMENT) is Step.SEAL


async def test_no_slots_are_checked_of_a_cycle_without_a_chain() -> None:
    stage = await complete(PLAN.model_copy(update={"chain": None}))
    assert next_step(await fold(stage.log), facts.MOMENT) is Step.SEAL


async def test_no_slots_are_checked_of_a_cycle_that_is_abandoned_as_a_whole() -> None:
    stage = MemoryStage()
    outcomes = [facts.abandoned(it.key) for it in outcomes_of(PLAN)]
    await append(stage.log, PLAN, facts.metagraph_recorded(), facts.seeded(block=60), *outcomes)
    end = await drive(stage, subnet=subnet())
    assert isinstance(end.event, CycleAbandoned)
    assert await slots_of(stage) is None


@pytest.mark.parametrize("error", [Crash, LogUnavailable])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_changes_nothing(error: type[Exception], after: bool) -> None:
    undisturbed = await complete()
    await drive(undisturbed, subnet=subnet())
    expected = await story(undisturbed.log)
    assert subjects.slots(CYCLE) in expected
    for calls in count():
        stage, fuse = await complete(), Fuse(calls, error, after=after)
        try:
            log, queue = FusedLog(stage.log, fuse), FusedQueue(stage.queue, fuse)
            await drive(stage, log=log, queue=queue, subnet=subnet())
        except Crash:
            await drive(stage, subnet=subnet())
        assert await story(stage.log) == expected, f"after a crash at call {calls}"
        if not fuse.blown:
            break
    assert calls >= (3 if after else 6)


async def test_who_comes_back_to_slots_that_were_checked_keeps_them() -> None:
    stage = await complete()
    await append(stage.log, facts.slots_checked(moved=(1,)))
    await drive(stage, subnet=subnet(moved=(0,)))
    assert await slots_of(stage) == facts.slots_checked(moved=(1,))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("read", [away, silent, subnet(block=50)], ids=["away", "silent", "behind"])
async def test_without_a_later_subnet_the_cycle_is_sealed_without_slots(read: ReadSubnet) -> None:
    stage = await complete()
    end = await drive(stage, subnet=read)
    assert isinstance(end.event, CycleSealed)
    assert await slots_of(stage) is None


@pytest.mark.usefixtures("impatient")
async def test_conductors_of_which_one_reads_the_chain_agree_on_the_tree() -> None:
    stage = await complete()
    ends = await asyncio.gather(*(drive(stage, subnet=read) for read in (away, subnet(), away, subnet(moved=(1,)))))
    assert len({it.sequence for it in ends}) == 1
    under = [it for it in await events_of(stage.log, subjects.cycle(CYCLE)) if it.sequence < ends[0].sequence]
    seal = ends[0].event
    assert isinstance(seal, CycleSealed)
    assert (seal.tree_size, seal.last_sequence) == (len(under), under[-1].sequence)


async def test_a_chain_that_comes_back_in_time_is_asked_again() -> None:
    stage, answers = await complete(), iter([away, away, subnet()])

    async def read() -> MetagraphSnapshot:
        return await next(answers)()

    await drive(stage, subnet=read)
    assert await slots_of(stage) == facts.slots_checked()


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (subnet(netuid=8), "for netuid 7, and this process reads 8"),
        (subnet(genesis="00" * 32), "on the chain with genesis"),
        (None, "planned from a chain, and this process has a roster"),
    ],
)
async def test_slots_of_another_chain_are_refused(read: ReadSubnet | None, told: str) -> None:
    stage = await complete()
    with pytest.raises(ForeignChain, match=told):
        await drive(stage, subnet=read)
    assert await slots_of(stage) is None
