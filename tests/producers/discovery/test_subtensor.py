"""The chain is read through the real SDK, from nodes on real websockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from events.chain.link import ChainLink, shown
from events.chain.sdk import trouble
from events.chain.trouble import (
    ChainTrouble,
    NoConnection,
    NodeRefused,
    NoSubnet,
    OtherChain,
    Reorganised,
    RuntimeUnsuited,
    StatePruned,
)
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.subtensor import SubtensorBlocks, SubtensorMetagraph
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.rpc import RpcError
from tests.chain.runtime import runtime
from tests.chain.subnets import KINDS, coldkey, hotkey, populated
from tests.chain.world import raw
from tests.eventually import eventually

IMPATIENT_S = 0.5
"""For what is never answered."""


@asynccontextmanager
async def linked(*nodes: Node, **times: float) -> AsyncIterator[ChainLink]:
    link = ChainLink([node.url for node in nodes], **times)
    try:
        yield link
    finally:
        await link.close()


async def read(link: ChainLink, netuid: int = NETUID, *, retry_s: float = 0.0) -> MetagraphSnapshot:
    return await SubtensorMetagraph(link, netuid, retry_s=retry_s).metagraph()


async def trouble_of(chain: Chain, netuid: int = NETUID) -> ChainTrouble:
    """What reading this chain ends with."""
    async with running(chain) as node, linked(node) as link:
        with pytest.raises(ChainTrouble) as trouble:
            await read(link, netuid)
    return trouble.value


class TestSnapshot:
    async def test_neurons_are_those_of_the_finalized_block(self) -> None:
        chain = populated(8)
        async with running(chain) as node, linked(node) as link:
            finalized = chain.last_finalized
            chain.register(hotkey(99), uid=0)
            chain.produce()

            snapshot = await read(link)

        assert (snapshot.netuid, snapshot.block, "0x" + snapshot.block_hash) == (NETUID, 1001, finalized.hash)
        assert [(it.uid, it.hotkey, it.coldkey, it.stake_rao, it.registered_block) for it in snapshot.neurons] == [
            (uid, hotkey(uid), coldkey(uid), 10**9 + uid, 1001) for uid in range(8)
        ]

    async def test_commitments_of_every_kind_are_handed_over(self) -> None:
        async with running(populated(len(KINDS), kinds=KINDS)) as node, linked(node) as link:
            commitments = (await read(link)).commitments

        assert [(it.hotkey, it.block) for it in commitments] == [(hotkey(uid), 1001) for uid in range(len(KINDS))]
        assert [it.kind for it in commitments] == [
            "Raw", "Raw", "Raw", "BigRaw", "Raw", "TimelockEncrypted", "2 fields", "Sha256", "nothing", "nothing",
            "BigRaw", "Raw",
        ]  # fmt: skip
        assert [it.text for it in commitments if it.is_plain] == [
            "user/policy:0123abcd:deployment",
            "user/policy:0123abcd:e:" + "k" * 80,
            "garbage",
            "user/policy:0123abcd:" + "d" * 300,
            None,
            None,
            "",
        ]

    async def test_who_holds_no_uid_is_left_out(self) -> None:
        chain = populated(3)
        chain.register(hotkey(99), uid=1)
        chain.advance()
        async with running(chain) as node, linked(node) as link:
            snapshot = await read(link)

        assert [it.hotkey for it in snapshot.commitments] == [hotkey(0), hotkey(2)]

    async def test_256_neurons_and_commitments_cost_under_50_requests(self) -> None:
        async with running(populated(256, kinds=KINDS)) as node, linked(node) as link:
            first = await read(link)
            of_first = node.calls.total()
            second = await read(link)

        assert (len(first.neurons), len(first.commitments)) == (256, 256)
        assert first == second
        assert of_first < 50
        assert node.calls.total() - of_first < 20

    async def test_what_happens_meanwhile_is_not_in_it(self) -> None:
        chain = populated(256)

        def change(method: str, _params: Sequence[Any]) -> None:
            if method in {"state_call", "state_getKeysPaged"}:
                chain.register(hotkey(1_000 + chain.head.number), uid=chain.head.number % 256)
                for uid in range(256):
                    chain.commit(hotkey(uid), raw("too late"))
                chain.advance()

        async with running(chain) as node, linked(node) as link:
            node.before = change
            snapshot = await read(link)

        assert chain.last_finalized.number > snapshot.block == 1001
        assert [it.hotkey for it in snapshot.neurons] == [hotkey(uid) for uid in range(256)]
        assert [it.text for it in snapshot.commitments] == ["user/policy:0123abcd:deployment"] * 256


class TestTrouble:
    async def test_a_netuid_that_is_not_there(self) -> None:
        trouble = await trouble_of(populated(), NETUID + 1)

        assert isinstance(trouble, NoSubnet)
        assert "netuid 8 does not exist at block 1001" in str(trouble)

    async def test_a_runtime_without_the_storage_item(self) -> None:
        chain = populated()
        chain.runtime = runtime("CommitmentOf")

        trouble = await trouble_of(chain)

        assert isinstance(trouble, RuntimeUnsuited)
        assert "Commitments.CommitmentOf not found" in str(trouble)

    async def test_a_runtime_without_the_method(self) -> None:
        chain = populated()
        chain.runtime = runtime("get_metagraph")

        assert isinstance(await trouble_of(chain), RuntimeUnsuited)

    async def test_a_hotkey_with_two_uids(self) -> None:
        chain = populated(3)
        chain.register(hotkey(2), uid=0)
        chain.advance()

        trouble = await trouble_of(chain)

        assert isinstance(trouble, RuntimeUnsuited)
        assert "one hotkey two uids" in str(trouble)

    async def test_a_state_that_is_pruned(self) -> None:
        chain = populated()
        async with running(chain) as node, linked(node) as link:
            node.before = lambda method, _: _prune(chain) if method == "state_getKeysPaged" else None

            with pytest.raises(StatePruned, match="no state of the block any more"):
                await read(link)

    async def test_a_block_that_is_not_the_chains_any_more(self) -> None:
        chain = populated()
        chain.advance()
        async with running(chain) as node, linked(node) as link:
            node.before = lambda method, _: _reorganise(chain) if method == "state_getKeysPaged" else None

            with pytest.raises(Reorganised, match=r"finalized block 1002 was 0x\w+ and is 0x\w+ now"):
                await read(link)

    async def test_a_node_that_answers_with_an_error(self) -> None:
        def overloaded(method: str, _params: Sequence[Any]) -> None:
            if method == "state_call":
                raise RpcError(-32000, "Server is overloaded")

        async with running(populated()) as node, linked(node) as link:
            await read(link)
            node.before = overloaded

            with pytest.raises(NodeRefused, match="Server is overloaded"):
                await read(link)

    async def test_nobody_there(self) -> None:
        async with running(populated()) as node, linked(node) as link:
            await node.stop()

            with pytest.raises(NoConnection, match="cannot be reached"):
                await read(link)

    async def test_a_node_that_does_not_answer_to_a_new_connection(self) -> None:
        async with running(populated()) as node, linked(node, connect_s=IMPATIENT_S) as link:
            node.silent = True

            with pytest.raises(NoConnection, match=r"did not connect within 0.5 s"):
                await read(link)
            await eventually(lambda: node.open_connections == 0)

    async def test_a_node_that_falls_silent(self) -> None:
        async with running(populated()) as node, linked(node, answer_s=IMPATIENT_S) as link:
            await link.call(lambda _: asyncio.sleep(0))
            node.silent = True

            with pytest.raises(NoConnection, match=r"did not answer within 0.5 s"):
                await read(link)
            await eventually(lambda: node.open_connections == 0)

    async def test_nothing_secret_of_an_endpoint_is_told(self) -> None:
        link = ChainLink(["ws://user:secret@127.0.0.1:1/key?token=secret"])

        with pytest.raises(NoConnection) as trouble:
            await read(link)

        assert str(trouble.value).startswith("chain node ws://127.0.0.1:1 cannot be reached")
        assert "secret" not in str(trouble.value)

    def test_nothing_secret_of_an_endpoint_is_told_even_if_the_sdk_does(self) -> None:
        said = OSError("no answer from 'wss://user:secret@node.example:443/secret?token=secret', tried 3 times")

        told = str(trouble("wss://node.example:443", said))

        assert "no answer from 'wss://node.example:443', tried 3 times" in told
        assert "secret" not in told


class TestMending:
    async def test_a_cut_in_the_middle_is_survived(self) -> None:
        async with running(populated(256)) as node, linked(node) as link:
            await link.call(lambda _: asyncio.sleep(0))
            node.cut_after(5)

            assert len((await read(link)).commitments) == 256

    async def test_a_silent_node_is_left_for_the_next(self) -> None:
        chain = populated()
        async with (
            running(chain) as silent,
            running(chain) as other,
            linked(silent, other, connect_s=IMPATIENT_S) as link,
        ):
            silent.silent = True

            assert (await read(link, retry_s=30)).block == 1001
            await eventually(lambda: silent.open_connections == 0)

    async def test_a_node_that_falls_silent_is_left_for_the_next(self) -> None:
        chain = populated()
        async with (
            running(chain) as silent,
            running(chain) as other,
            linked(silent, other, answer_s=IMPATIENT_S) as link,
        ):
            await link.call(lambda _: asyncio.sleep(0))
            silent.silent = True

            assert (await read(link, retry_s=30)).block == 1001
            assert other.calls["state_call"] > 0
            assert silent.connections == 1

    async def test_after_all_nodes_failed_the_first_is_tried_again(self) -> None:
        chain = populated()
        async with running(chain) as first, running(chain) as second, linked(first, second) as link:
            await first.stop()
            await second.stop()
            told: list[Exception] = []
            metagraph = SubtensorMetagraph(link, NETUID, retry_s=30, tell=told.append)
            reading = asyncio.create_task(metagraph.metagraph())
            await eventually(lambda: len(told) >= 2)

            await first.start()

            assert (await reading).block == 1001
            assert {type(it) for it in told} == {NoConnection}

    async def test_a_snapshot_of_a_fork_is_read_again(self) -> None:
        chain = populated()
        chain.advance()

        def once(method: str, _params: Sequence[Any]) -> None:
            if method == "state_getKeysPaged":
                node.before = lambda *_: None
                chain.reorganise(1, finalized_too=True)

        async with running(chain) as node, linked(node) as link:
            node.before = once
            snapshot = await read(link, retry_s=30)

        assert "0x" + snapshot.block_hash == chain.last_finalized.hash

    async def test_what_no_other_try_cures_is_not_tried_again(self) -> None:
        async with running(populated()) as node, linked(node) as link:
            with pytest.raises(NoSubnet):
                await read(link, NETUID + 1, retry_s=30)

            assert node.calls["chain_getFinalizedHead"] == 1

    async def test_a_node_of_another_chain_is_refused_and_left_for_the_next(self) -> None:
        chain = populated()
        async with running(chain) as first, running(_OtherChain()) as second, linked(first, second) as link:
            assert (await read(link)).block == 1001
            await first.stop()
            told: list[Exception] = []
            metagraph = SubtensorMetagraph(link, NETUID, retry_s=30, tell=told.append)
            reading = asyncio.create_task(metagraph.metagraph())
            await eventually(lambda: any(isinstance(it, OtherChain) for it in told))
            await first.start()

            assert (await reading).block == 1001

    async def test_two_readers_share_a_link(self) -> None:
        async with running(populated()) as node, linked(node) as link:
            first, second = await asyncio.gather(read(link), read(link))

        assert first == second
        assert node.connections == 1

    async def test_a_link_that_was_closed_connects_anew(self) -> None:
        async with running(populated()) as node, linked(node) as link:
            await read(link)
            await link.close()

            assert (await read(link)).block == 1001
            assert node.connections == 2


class TestBlocks:
    async def test_the_current_one_is_the_head(self) -> None:
        chain = populated()
        async with running(chain) as node, linked(node) as link:
            head = chain.produce(3)

            block = await SubtensorBlocks(link).current()

        assert (block.number, "0x" + block.hash, block.finalized) == (1004, head.hash, False)

    async def test_the_one_after_is_awaited_until_it_is_finalized(self) -> None:
        chain = populated()
        async with running(chain) as node, linked(node) as link:
            chain.produce(2)
            waiting = asyncio.create_task(SubtensorBlocks(link, poll_s=0.01).after(1001))
            await eventually(lambda: node.calls["chain_getFinalizedHead"] >= 2)
            assert not waiting.done()

            chain.finalize()

            block = await waiting
        assert (block.number, "0x" + block.hash, block.finalized) == (1002, chain.hash_of(1002), True)

    async def test_the_one_after_is_that_of_the_fork_that_stayed(self) -> None:
        chain = populated()
        async with running(chain) as node, linked(node) as link:
            gone = chain.produce()
            waiting = asyncio.create_task(SubtensorBlocks(link, poll_s=0.01).after(1001))
            await eventually(lambda: node.calls["chain_getFinalizedHead"] >= 1)
            chain.reorganise(1)
            chain.finalize()

            block = await waiting
        assert "0x" + block.hash == chain.hash_of(1002) != gone.hash

    async def test_a_node_that_restarts_is_waited_for(self) -> None:
        chain = populated()
        async with running(chain) as node, linked(node) as link:
            told: list[Exception] = []
            waiting = asyncio.create_task(SubtensorBlocks(link, poll_s=0.01, tell=told.append).after(1001))
            await eventually(lambda: node.calls["chain_getFinalizedHead"] >= 1)
            await node.stop()
            await eventually(lambda: bool(told))
            await node.start()
            chain.advance()

            assert (await waiting).number == 1002


@pytest.mark.parametrize("endpoint", ["", "finney", "http://node", "wss://"])
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="no ws:// or wss:// URL"):
        ChainLink([endpoint])


def test_no_endpoint_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no chain endpoint"):
        ChainLink([])


def test_of_an_endpoint_only_scheme_host_and_port_are_shown() -> None:
    assert shown("wss://user:pass@node.example:443/v1/key?x=y") == "wss://node.example:443"


def test_the_sdk_is_not_imported_by_who_reads_no_chain() -> None:
    code = "import producers.discovery.subtensor, sys; sys.exit('bittensor' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def _prune(chain: Chain) -> None:
    chain.advance()
    chain.prune()


def _reorganise(chain: Chain) -> None:
    if chain.head.number == 1002:
        chain.reorganise(1, finalized_too=True)


class _OtherChain(Chain):
    """Begins with another block."""

    def hash_of(self, number: int) -> str | None:
        return "0x" + "ab" * 32 if number == 0 else super().hash_of(number)
