"""Cycles about a subnet of a chain: what they are pinned to, where their seeds come from, and what trouble does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from consumers.audit.cycle.evidence import check_plan
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.lines import Line
from consumers.audit.cycle.verdicts import Verdict
from events import subjects
from events.chain.link import ChainLink
from events.cycles import CyclePlanned, CycleSeeded
from events.discovery import DegradedCode, DiscoveryDegraded, DiscoveryRestored
from events.episodes import EpisodeAbandoned, EpisodeCompleted
from events.ids import CycleId
from events.metagraph import SEED_DELAY_BLOCKS, MetagraphRecorded
from events.tasks import EpisodeTask
from producers.cycles import slots
from producers.cycles.errors import ChainAway, ForeignChain
from producers.cycles.scheduler import run_cycle_once
from producers.discovery.subtensor import SubtensorBlocks, SubtensorMetagraph
from producers.discovery.subtensor_source import SubtensorSource
from producers.progress import CycleIdle, Ended, Retrying
from tests.chain.chain import NETUID
from tests.chain.node import running
from tests.chain.subnets import hotkey, populated
from tests.chain.world import raw
from tests.eventually import eventually
from tests.producers.driving import CYCLE, drive, events_of, outcome_of, queued, stop, worker
from tests.producers.on_chain import USING, Scene, on_chain, seeded


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with on_chain() as scene:
        yield scene


async def test_a_plan_is_pinned_to_the_finalized_subnet_and_seeded_by_a_later_block(scene: Scene) -> None:
    pinned = scene.chain.last_finalized
    scene.chain.register(hotkey(99), uid=1)
    scene.chain.produce(2)

    async with worker(scene.stage):
        running_cycle = asyncio.create_task(scene.once())
        await seeded(scene)
        await running_cycle

    plan, metagraph, seed, *_ = await events_of(scene.stage.log, subjects.cycle(CYCLE))
    assert isinstance(plan.event, CyclePlanned)
    assert isinstance(metagraph.event, MetagraphRecorded)
    assert isinstance(seed.event, CycleSeeded)
    assert plan.event.chain is not None
    assert (plan.event.block, "0x" + plan.event.chain.block_hash) == (pinned.number, pinned.hash)
    assert ("0x" + plan.event.chain.genesis, plan.event.chain.netuid) == (scene.chain.hash_of(0), NETUID)
    assert [(it.uid, it.hotkey) for it in plan.event.roster] == [(uid, hotkey(uid)) for uid in range(3)]
    assert [it.hotkey for it in metagraph.event.neurons] == [hotkey(uid) for uid in range(3)]
    assert metagraph.envelope.causation == plan.id
    assert seed.event.block == pinned.number + SEED_DELAY_BLOCKS
    assert "0x" + seed.event.block_hash == scene.chain.hash_of(seed.event.block)


async def test_an_audit_finds_that_a_roster_does_not_follow_from_the_metagraph(scene: Scene) -> None:
    async with worker(scene.stage, _by_its_miner):
        running_cycle = asyncio.create_task(scene.once())
        await seeded(scene)
        await running_cycle
    bodies = [it.body for it in await events_of(scene.stage.log, subjects.cycle(CYCLE))]

    assert _plan_verdict(bodies).same
    without = [body for body in bodies if b"kinitro.cycle.metagraph" not in body]
    assert "a metagraph" in _plan_verdict(without).detail
    taken = [
        body.replace(hotkey(1).encode(), hotkey(99).encode()) if b".metagraph" in body else body for body in bodies
    ]
    assert f"{hotkey(99)} in the metagraph" in _plan_verdict(taken).detail
    sooner = [body.replace(b'"block":1011', b'"block":1010') if b".seed" in body else body for body in bodies]
    assert "block 1011, 10 after the plan's, found block 1010" in _plan_verdict(sooner).detail
    moved = [body.replace(b'"block":1001', b'"block":1002') if b".metagraph" in body else body for body in bodies]
    assert "at block 1002" in _plan_verdict(moved).detail


async def test_while_the_chain_is_away_no_cycle_is_planned_and_the_log_says_so_once(scene: Scene) -> None:
    await scene.node.stop()
    async with worker(scene.stage), scene.scheduler():
        await eventually(lambda: sum(isinstance(it, CycleIdle) for it in scene.told) >= 3)
        assert not await scene.has(CyclePlanned)
        await scene.node.start()
        await seeded(scene)
        await eventually(lambda: any(isinstance(it, Ended) for it in scene.told))

    trouble, end = await scene.of(DiscoveryDegraded, DiscoveryRestored)
    assert isinstance(trouble, DiscoveryDegraded)
    assert trouble.code is DegradedCode.NO_CONNECTION
    assert "cannot be reached" in trouble.detail
    assert isinstance(end, DiscoveryRestored)
    assert end.block == 1001


async def test_a_running_cycle_goes_on_while_the_chain_is_away(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SLOTS_WITHIN_S", 0.2)
    async with scene.scheduler():
        await seeded(scene)
        await eventually(queued(scene.stage, 12))
        await scene.node.stop()
        await eventually(lambda: scene.has(DiscoveryDegraded))
        async with worker(scene.stage):
            await eventually(lambda: any(isinstance(it, Ended) for it in scene.told))


async def test_a_planned_cycle_waits_for_its_seeds_through_restarts_of_the_node(scene: Scene) -> None:
    async with worker(scene.stage):
        running_cycle = asyncio.create_task(scene.once())
        await eventually(lambda: scene.has(CyclePlanned))
        await scene.node.stop()
        await eventually(
            lambda: any(isinstance(it, Retrying) and "cannot be reached" in it.reason for it in scene.told)
        )
        await scene.node.start()
        await seeded(scene)
        await running_cycle


async def test_a_cycle_that_never_gets_its_seeds_ends_at_its_deadline(scene: Scene) -> None:
    running_cycle = asyncio.create_task(scene.once(deadline_s=1))
    await eventually(lambda: scene.has(CyclePlanned))
    await scene.node.stop()
    await running_cycle

    assert len(await scene.of(EpisodeAbandoned)) == 12


async def test_no_cycle_is_planned_while_the_chain_does_not_finalize(scene: Scene) -> None:
    scene.chain.produce(SEED_DELAY_BLOCKS)

    with pytest.raises(ChainAway, match=r"block 1001 is final, 1011 the newest, expected fewer than 10 between them"):
        await scene.once()

    assert not await scene.has(CyclePlanned)


async def test_no_cycle_is_planned_from_a_block_before_what_the_log_knows(scene: Scene) -> None:
    late = populated(3)
    scene.chain.advance(5)
    scene.chain.commit(hotkey(1), raw("user/policy:89abcdef:other"))
    scene.chain.advance()
    async with running(late) as behind, worker(scene.stage):
        running_cycle = asyncio.create_task(scene.once())
        await seeded(scene)
        await running_cycle
        link = ChainLink([behind.url])
        with pytest.raises(ChainAway, match="the log knows changes at block 1007"):
            await run_cycle_once(
                CycleId(2),
                log=scene.stage.log,
                queue=scene.stage.queue,
                blocks=SubtensorBlocks(link, retry_s=0.0),
                miners=SubtensorSource(SubtensorMetagraph(link, NETUID, retry_s=0.0)),
                settings=USING,
                report=scene.told.append,
            )
        await link.close()


async def test_a_cycle_that_was_planned_from_a_chain_is_not_seeded_from_the_clock(scene: Scene) -> None:
    running_cycle = asyncio.create_task(scene.once())
    await eventually(lambda: scene.has(CyclePlanned))
    await stop(running_cycle)

    with pytest.raises(ForeignChain, match="planned from a chain, and this process has a roster"):
        await drive(scene.stage)


def _by_its_miner(task: EpisodeTask) -> EpisodeCompleted:
    return outcome_of(task).model_copy(update={"hotkey": task.hotkey})


def _plan_verdict(bodies: list[bytes]) -> Verdict:
    fold = CycleFold(CYCLE)
    fold.add([Line(number, None, body) for number, body in enumerate(bodies, start=1)])
    return check_plan(fold)
