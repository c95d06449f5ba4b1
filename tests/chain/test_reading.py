"""The real SDK reads from the stub."""

from __future__ import annotations

import asyncio

import bittensor as bt
import pytest

from tests.chain.chain import NETUID
from tests.chain.clients import client
from tests.chain.node import running
from tests.chain.runtime import runtime
from tests.chain.subnets import KINDS, coldkey, hotkey, populated
from tests.eventually import eventually


async def test_the_finalized_block_is_behind_the_head() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        finalized = chain.last_finalized
        head = chain.produce(3)

        assert await connected.finalized_block() == finalized.number
        assert await connected.block() == head.number
        assert await connected._substrate.block_hash(finalized.number) == finalized.hash


async def test_the_metagraph_has_who_registered() -> None:
    chain = populated(8)
    async with running(chain) as node, client(node) as connected:
        metagraph = await connected.subnets.metagraph(NETUID)

    assert metagraph is not None
    read = [
        (it.uid, it.hotkey, it.coldkey, it.total_stake.rao, it.block_at_registration, it.validator_permit)
        for it in metagraph
    ]
    assert read == [(uid, hotkey(uid), coldkey(uid), 10**9 + uid, 1001, True) for uid in range(8)]


async def test_a_subnet_that_is_not_there_has_no_metagraph() -> None:
    async with running(populated()) as node, client(node) as connected:
        assert await connected.subnets.metagraph(NETUID + 1) is None


async def test_256_commitments_of_every_kind_are_read() -> None:
    async with running(populated(256, kinds=KINDS)) as node, client(node) as connected:
        commitments = await connected.subnets.commitments(NETUID)

    assert set(commitments) == {hotkey(uid) for uid in range(256)}
    assert commitments[hotkey(0)].data == "user/policy:0123abcd:deployment"
    assert commitments[hotkey(5)].encrypted
    assert commitments[hotkey(4)].fields == [{"Raw3": "0xfffe00"}]


async def test_what_is_pinned_stays_as_it_was() -> None:
    chain = populated(8)
    async with running(chain) as node, client(node) as connected:
        snapshot = await connected.at(await connected.finalized_block())
        chain.register(hotkey(99), uid=0)
        chain.advance()

        before = await snapshot.subnets.metagraph(NETUID)
        after = await connected.subnets.metagraph(NETUID)

    assert before is not None
    assert after is not None
    assert (before.neuron(0).hotkey, after.neuron(0).hotkey) == (hotkey(0), hotkey(99))


async def test_blocks_are_told_as_they_are_finalized() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        stream = connected.blocks(finalized=True)
        first = await anext(stream)
        chain.produce(2)
        chain.finalize(chain.head.number - 1)
        second = await anext(stream)
        chain.finalize()
        third = await anext(stream)

    assert [first.number, second.number, third.number] == [1001, 1002, 1003]


async def test_a_drop_ends_the_stream_of_blocks() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        stream = connected.blocks(finalized=True)
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await eventually(lambda: node.subscriptions == 1)

        node.cut()

        with pytest.raises(bt.ChainError, match="Connection lost"):
            await waiting
        assert (await anext(connected.blocks(finalized=True))).number == 1001


async def test_an_item_that_the_runtime_lacks_cannot_be_read() -> None:
    chain = populated()
    chain.runtime = runtime("CommitmentOf")
    async with running(chain) as node, client(node) as connected:
        with pytest.raises(ValueError, match=r"CommitmentOf not found"):
            await connected.subnets.commitments(NETUID)
