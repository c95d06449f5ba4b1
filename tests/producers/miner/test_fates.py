"""What is said of a commitment is what the chain shows, whatever was answered to its submission."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from events.chain import submission
from producers.miner.chain import LOST_AFTER_BLOCKS, Committing, MinerChain
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Fate, Node, running
from tests.chain.subnets import keypair, populated
from tests.eventually import eventually

TEXT = "user/policy:89abcdef:other"
PATIENT_S = 60.0


async def commit(node: Node, *, look_s: float = PATIENT_S) -> Committing:
    miner = MinerChain([node.url], NETUID, look_s=look_s, retry_s=PATIENT_S, poll_s=0.02)
    try:
        return await miner.commit(TEXT, keypair("hotkey0"))
    finally:
        await miner.close()


@asynccontextmanager
async def blocks_coming(chain: Chain) -> AsyncIterator[None]:
    async def advance() -> None:
        while True:
            await asyncio.sleep(0.01)
            chain.advance()

    advancing = asyncio.create_task(advance())
    try:
        yield
    finally:
        advancing.cancel()
        with suppress(asyncio.CancelledError):
            await advancing


async def test_a_commitment_is_finalized() -> None:
    async with running(populated()) as node:
        came = await commit(node)

    assert came.fate is submission.Fate.FINALIZED
    assert came.reading is not None
    assert came.reading.holds(TEXT)


async def test_one_that_was_taken_before_the_connection_broke_is_found() -> None:
    async with running(populated()) as node:
        node.fate = Fate.TAKEN_AND_CUT
        assert (await commit(node)).fate is submission.Fate.FINALIZED


async def test_one_that_waits_in_the_pool_is_waited_for() -> None:
    chain = populated()
    chain.instant = False
    async with running(chain) as node:
        node.fate = Fate.TAKEN_AND_CUT
        committing = asyncio.create_task(commit(node))
        await eventually(lambda: len(chain.pool) == 1)
        chain.advance(3)
        assert (await committing).fate is submission.Fate.FINALIZED


@pytest.mark.parametrize("fate", [Fate.LOST_AND_CUT, Fate.DROPPED])
async def test_one_that_was_lost_is_called_so_when_no_block_can_have_it(fate: Fate) -> None:
    chain = populated()
    sent_at = chain.head.number
    async with running(chain) as node, blocks_coming(chain):
        node.fate = fate
        came = await commit(node)

    assert came.fate is submission.Fate.REFUSED
    assert chain.head.number > sent_at + LOST_AFTER_BLOCKS
    assert "signed too long ago" in came.detail


async def test_one_whose_block_was_undone_is_looked_for_on_the_other_fork() -> None:
    chain = populated()
    chain.instant = False
    async with running(chain) as node:
        committing = asyncio.create_task(commit(node))
        await eventually(lambda: len(chain.pool) == 1)
        chain.produce()
        chain.reorganise(1)
        async with blocks_coming(chain):
            came = await committing

    assert came.fate is submission.Fate.REFUSED
    assert "signed too long ago" in came.detail


async def test_while_no_block_comes_its_fate_is_unknown() -> None:
    async with running(populated()) as node:
        node.fate = Fate.LOST_AND_CUT
        assert (await commit(node, look_s=0.1)).fate is submission.Fate.UNKNOWN


async def test_the_same_text_of_an_earlier_block_is_not_taken_for_it() -> None:
    chain = populated()
    async with running(chain) as node:
        assert (await commit(node)).fate is submission.Fate.FINALIZED
        node.fate = Fate.LOST_AND_CUT
        assert (await commit(node, look_s=0.1)).fate is submission.Fate.UNKNOWN


async def test_what_fails_in_its_block_is_refused_at_once() -> None:
    chain = Chain()
    chain.advance()
    async with running(chain) as node:
        came = await commit(node)

    assert came.fate is submission.Fate.REFUSED
    assert "AccountNotAllowedCommit" in came.detail
