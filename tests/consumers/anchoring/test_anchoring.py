"""From signed roots to anchors on the chain, through the real SDK, to a node on a real websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from consumers.anchoring.chain import AnchorChain
from consumers.anchoring.deciding import BLOCKS_MIN, AnchorDiffers, NotOurs, Record, Submit, Wait
from consumers.anchoring.handler import Anchoring, NotTaken, Pauses, run_anchoring
from events import subjects
from events.anchors import Anchor, RootAnchored, parse_anchor
from events.chain.trouble import NoConnection
from events.codec import decode_as, draft
from events.envelope import begin
from events.ids import CycleId
from events.log import EventLog
from events.memory import MemoryLog
from events.signed import RootSigned
from tests.chain.chain import NETUID, Chain
from tests.chain.effects import FEE_RAO
from tests.chain.node import Fate, Node, running
from tests.chain.subnets import keypair, populated
from tests.chain.world import OWNER_RAO, raw
from tests.consumers.conftest import Bus
from tests.controls import facts
from tests.eventually import eventually

OURS = keypair("anchor")
ADDRESS: str = OURS.ss58_address


def root(cycle: int) -> str:
    return f"{cycle:064x}"


async def sign(log: EventLog, *cycles: int) -> None:
    for cycle in cycles:
        statement = json.dumps({"kind": "kinitro/root/1", "cycle": cycle, "history_root": root(cycle)})
        signed = RootSigned(cycle=CycleId(cycle), statement=statement, signature=facts.signature())
        await log.append([draft(begin(signed, source="/test"))])


def subnet() -> Chain:
    chain = populated(2)
    chain.register(ADDRESS)
    chain.advance()
    return chain


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running(subnet()) as node:
        yield node


def reached(*nodes: Node) -> AnchorChain:
    return AnchorChain([node.url for node in nodes], NETUID, OURS)


@asynccontextmanager
async def anchoring(log: EventLog, *nodes: Node, interval: int = 1) -> AsyncIterator[Anchoring]:
    """One that has read the log, as after a start."""
    chain = reached(*nodes)
    begun = Anchoring(log, chain, interval=interval)
    await begun.catch_up()
    try:
        yield begun
    finally:
        await chain.close()


async def anchored(log: EventLog) -> list[RootAnchored]:
    return [
        decode_as(RootAnchored, stored).event
        async for batch in log.read(subject=subjects.ANCHORS)
        for stored in batch
    ]


def on_chain(chain: Chain) -> Anchor | None:
    held = chain.world.commitments.get(ADDRESS)
    if held is None:
        return None
    (field,) = held.fields
    assert isinstance(field, dict)
    ((_, data),) = field.items()
    return parse_anchor(bytes(data).decode())


def submissions(chain: Chain) -> int:
    return (OWNER_RAO - chain.world.account(ADDRESS).free_rao) // FEE_RAO


async def test_the_newest_root_is_committed_and_recorded_once_it_is_final(log: MemoryLog, node: Node) -> None:
    await sign(log, 1, 2, 3)
    async with anchoring(log, node) as ours:
        assert await ours.once() == Submit(Anchor(CycleId(3), root(3)))
        assert await anchored(log) == []
        assert isinstance(await ours.once(), Record)
        assert await ours.once() is None

    (event,) = await anchored(log)
    chain = node.chain
    assert on_chain(chain) == Anchor(CycleId(3), root(3))
    assert (event.cycle, event.history_root, event.hotkey, event.netuid) == (3, root(3), ADDRESS, NETUID)
    assert (event.block, f"0x{event.block_hash}") == (
        chain.world.commitments[ADDRESS].block,
        chain.hash_of(event.block),
    )
    assert f"0x{event.genesis}" == chain.hash_of(0)


async def test_without_a_signed_root_the_chain_is_not_asked(log: MemoryLog, node: Node) -> None:
    async with anchoring(log, node) as ours:
        assert await ours.once() is None
    assert node.connections == 0


async def test_what_is_in_no_finalized_block_is_not_recorded(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    node.chain.instant = False
    async with anchoring(log, node) as ours:
        submission = asyncio.ensure_future(ours.once())
        await eventually(lambda: len(node.chain.pool) == 1)
        node.chain.produce()
        async with anchoring(log, node) as other:
            assert isinstance(await other.once(), Wait)
        assert await anchored(log) == []
        node.chain.finalize()
        await submission
        assert isinstance(await ours.once(), Record)


async def test_between_commitments_there_are_blocks_enough(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    async with anchoring(log, node) as ours:
        await ours.once()
        await ours.once()
        await sign(log, 2)
        await ours.catch_up()
        assert await ours.once() == Wait(BLOCKS_MIN, waiting_since(node.chain))
        node.chain.advance(BLOCKS_MIN - 1)
        assert isinstance(await ours.once(), Wait)
        node.chain.advance()
        assert isinstance(await ours.once(), Submit)
    assert on_chain(node.chain) == Anchor(CycleId(2), root(2))


def waiting_since(chain: Chain) -> str:
    block = chain.world.commitments[ADDRESS].block
    return f"its last commitment is of block {block}, and now is block {chain.head.number}"


async def test_anchors_are_an_interval_apart(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    async with anchoring(log, node, interval=3) as ours:
        await ours.once()
        await ours.once()
        node.chain.advance(BLOCKS_MIN)
        await sign(log, 2, 3)
        await ours.catch_up()
        assert await ours.once() is None
        await sign(log, 4)
        await ours.catch_up()
        assert isinstance(await ours.once(), Submit)


@pytest.mark.parametrize("recorded", [False, True])
async def test_who_starts_again_submits_nothing_twice(log: MemoryLog, node: Node, recorded: bool) -> None:
    await sign(log, 1)
    async with anchoring(log, node) as before:
        await before.once()
        if recorded:
            await before.once()
    async with anchoring(log, node) as after:
        step = await after.once()
        assert (step is None) if recorded else isinstance(step, Record)
    assert len(await anchored(log)) == 1
    assert submissions(node.chain) == 1


@pytest.mark.parametrize(("fate", "again"), [(Fate.TAKEN_AND_CUT, False), (Fate.LOST_AND_CUT, True)])
async def test_where_the_fate_is_unknown_the_chain_is_looked_at(
    log: MemoryLog, node: Node, fate: Fate, again: bool
) -> None:
    await sign(log, 1)
    node.fate = fate
    async with anchoring(log, node) as ours:
        with pytest.raises(NotTaken):
            await ours.once()
        node.fate = Fate.KNOWN
        step = await ours.once()
        assert isinstance(step, Submit if again else Record)
    assert submissions(node.chain) == 1


async def test_what_still_waits_in_the_pool_is_waited_for(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    node.chain.instant = False
    node.fate = Fate.TAKEN_AND_CUT
    async with anchoring(log, node) as ours:
        with pytest.raises(NotTaken):
            await ours.once()
        assert isinstance(await ours.once(), Wait)
        node.chain.advance()
        assert isinstance(await ours.once(), Record)
    assert submissions(node.chain) == 1


async def test_a_commitment_that_is_no_anchor_is_not_overwritten(log: MemoryLog, node: Node) -> None:
    node.chain.commit(ADDRESS, raw("user/policy:0123abcd:deployment"))
    node.chain.advance()
    await sign(log, 1)
    async with anchoring(log, node) as ours:
        with pytest.raises(NotOurs, match="user/policy:0123abcd:deployment"):
            await ours.once()
    assert submissions(node.chain) == 0


@pytest.mark.parametrize("cycle", [1, 9])
async def test_an_anchor_that_the_log_does_not_bear_out_is_kept(log: MemoryLog, node: Node, cycle: int) -> None:
    node.chain.commit(ADDRESS, raw(Anchor(CycleId(cycle), "ee" * 32).text))
    node.chain.advance(BLOCKS_MIN + 1)
    await sign(log, 1)
    async with anchoring(log, node) as ours:
        with pytest.raises(AnchorDiffers, match="ee" * 32):
            await ours.once()
    assert (await anchored(log), submissions(node.chain)) == ([], 0)


async def test_two_at_once_record_one_anchor(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    async with anchoring(log, node) as one, anchoring(log, node) as other:
        await one.once()
        await asyncio.gather(one.once(), other.once())
    assert len(await anchored(log)) == 1


async def test_a_stranger_to_the_subnet_is_told_so(log: MemoryLog) -> None:
    async with running(populated(2)) as node:
        await sign(log, 1)
        async with anchoring(log, node) as ours:
            with pytest.raises(NotTaken, match="AccountNotAllowedCommit"):
                await ours.once()


async def test_a_node_that_is_away_is_trouble_and_the_next_one_is_asked(log: MemoryLog, node: Node) -> None:
    await sign(log, 1)
    async with running(subnet()) as away:
        await away.stop()
        async with anchoring(log, away, node) as ours:
            with pytest.raises(NoConnection):
                await ours.once()
            with pytest.raises(NotTaken):
                await ours.once()
            assert isinstance(await ours.once(), Submit)


async def test_as_a_process_it_outlives_trouble_with_the_chain(bus: Bus, node: Node) -> None:
    stop = asyncio.Event()
    pauses = Pauses(retry_min_s=0.01, retry_max_s=0.1, block_s=0.001)
    await node.stop()
    with capture_logs() as told:
        running_ = asyncio.ensure_future(run_anchoring(bus.url, reached(node), stop, pauses=pauses))
        try:
            await sign(bus.log, 1)
            await eventually(lambda: any("reason" in entry for entry in told))
            await node.start()
            await eventually(lambda: is_anchored(bus.log, 1))
            await sign(bus.log, 2)
            await eventually(lambda: node.calls["account_nextIndex"] > 4)
            node.chain.advance(BLOCKS_MIN)
            await eventually(lambda: is_anchored(bus.log, 2))
        finally:
            stop.set()
            await running_
    assert submissions(node.chain) == 2
    assert [entry["event"] for entry in told].count("no history root is anchored") == 1
    assert "history roots are anchored again" in [entry["event"] for entry in told]


async def is_anchored(log: EventLog, cycle: int) -> bool:
    return await log.last(subjects.anchor(CycleId(cycle))) is not None


ROOT = "0a" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user/policy:0123abcd:deployment",
        f"kinitro/anchor/2:1:{ROOT}",
        f"kinitro/anchor/1:0:{ROOT}",
        f"kinitro/anchor/1:01:{ROOT}",
        f"kinitro/anchor/1:1:{ROOT.upper()}",
        f"kinitro/anchor/1:1:{ROOT[:-1]}",
        f"kinitro/anchor/1:1:{ROOT}\n",
        f"kinitro/anchor/1:\u0661:{ROOT}",
        f"kinitro/anchor/1:{10**19}:{ROOT}",
    ],
)
def test_what_is_no_anchor_is_not_read_as_one(text: str) -> None:
    assert parse_anchor(text) is None


def test_the_longest_anchor_fits_into_a_commitment() -> None:
    anchor = Anchor(CycleId(2**62), ROOT)
    assert parse_anchor(anchor.text) == anchor
    assert len(anchor.text.encode()) <= 128
