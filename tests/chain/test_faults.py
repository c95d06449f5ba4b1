"""Each fault of the stub is what the real SDK meets with a real node."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import bittensor as bt
import pytest

from tests.chain.chain import NETUID
from tests.chain.clients import client
from tests.chain.node import running
from tests.chain.subnets import populated
from tests.eventually import eventually


async def test_a_cut_in_the_middle_of_a_read_is_survived() -> None:
    async with running(populated(256)) as node, client(node) as connected:
        node.cut_after(5)

        assert len(await connected.subnets.commitments(NETUID)) == 256
        assert node.connections == 2


async def test_a_stopped_node_refuses_connections() -> None:
    async with running(populated()) as node:
        await node.stop()

        with pytest.raises(bt.RpcConnectionError, match="could not connect to any endpoint"):
            async with client(node):
                pass


async def test_a_node_comes_back_on_the_same_port() -> None:
    async with running(populated()) as node, client(node) as connected:
        await node.restart()

        assert await connected.finalized_block() == 1001
        assert node.connections == 2


async def test_a_fallback_takes_over_from_a_node_that_is_stopped() -> None:
    chain = populated()
    async with running(chain) as first, running(chain) as second, client(first, second) as connected:
        await first.stop()

        assert await connected.finalized_block() == 1001
        assert (first.open_connections, second.connections) == (0, 1)


async def test_a_silent_node_takes_requests_and_answers_none() -> None:
    async with running(populated()) as node, client(node) as connected:
        node.silent = True
        asked = node.calls.total()
        reading = asyncio.ensure_future(connected.finalized_block())
        await eventually(lambda: node.calls.total() > asked)

        node.silent = False
        assert await connected.block() == 1001
        assert not reading.done()
        reading.cancel()


async def test_a_slow_node_answers_after_its_delay() -> None:
    async with running(populated()) as node, client(node) as connected:
        node.delay_s = 0.2
        began_s = asyncio.get_running_loop().time()

        await connected.block()

        assert asyncio.get_running_loop().time() - began_s >= 0.2


async def test_old_state_is_discarded() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        old = await connected.at(1001)
        chain.advance(2)
        chain.prune()

        with pytest.raises(bt.ChainError, match="State discarded"):
            await old.subnets.commitments(NETUID)


async def test_an_archive_still_has_the_state_that_others_discarded() -> None:
    chain, archived = populated(), populated()
    async with running(chain) as node, running(archived) as archive, client(node, archive=archive) as connected:
        old = await connected.at(1001)
        chain.advance(2)
        chain.prune()

        assert len(await old.subnets.commitments(NETUID)) == 8


async def test_another_fork_has_other_blocks_at_the_same_heights() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:
        chain.produce(2)
        before = await connected._substrate.block_hash(1003)
        chain.reorganise(1)

        assert await connected._substrate.block_hash(1003) != before
        assert await connected._substrate.block_hash(1002) == chain.hash_of(1002)


async def test_a_node_moves_its_chain_when_it_is_asked_something() -> None:
    chain = populated()
    async with running(chain) as node, client(node) as connected:

        def move(method: str, _params: Sequence[Any]) -> None:
            if method == "chain_getHeader":
                chain.produce()

        node.before = move

        assert await connected.block() == 1002


async def test_a_stopped_nodes_port_is_taken_by_nobody_else() -> None:
    async with running(populated()) as node:
        await node.stop()
        port = int(node.url.rpartition(":")[2])

        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
