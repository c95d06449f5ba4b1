"""From the chain into the log: what is appended is what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from events.chain.link import ChainLink
from events.chain.trouble import ChainTrouble
from events.memory import MemoryLog
from events.miners import (
    CommitmentRejection,
    MinerCommitmentChanged,
    MinerCommitmentRejected,
    MinerDeparted,
    MinerDiscovered,
)
from producers.discovery.discovery import Discovery
from producers.discovery.subtensor import SubtensorMetagraph
from producers.discovery.subtensor_source import SubtensorSource
from tests.chain.chain import NETUID, Chain
from tests.chain.node import Node, running
from tests.chain.subnets import KINDS, hotkey, populated
from tests.chain.world import big_raw, hashed, raw, timelocked


@asynccontextmanager
async def discovering(chain: Chain) -> AsyncIterator[tuple[Discovery, SubtensorSource, Node]]:
    async with running(chain) as node:
        link = ChainLink([node.url])
        source = SubtensorSource(SubtensorMetagraph(link, NETUID, retry_s=0.0))
        try:
            yield Discovery(source, MemoryLog()), source, node
        finally:
            await link.close()


async def test_256_neurons_of_every_kind_are_discovered_or_rejected_once() -> None:
    async with discovering(populated(256, kinds=KINDS)) as (discovery, _, node):
        first = await discovery.poll()
        assert node.calls.total() < 50

        assert await discovery.poll() == []

    assert len({event.hotkey for event in first}) == len(first) == 256
    assert set(Counter(type(event) for event in first)) == {MinerDiscovered, MinerCommitmentRejected}


@pytest.mark.parametrize(
    ("field", "code"),
    [
        (raw("garbage"), CommitmentRejection.MALFORMED),
        (raw(b"\xff\xfe\x00"), CommitmentRejection.NOT_ASCII),
        (big_raw("user/policy:0123abcd:" + "d" * 300), CommitmentRejection.TOO_LONG),
        (timelocked(b"sealed", 7), CommitmentRejection.NO_TEXT),
        (hashed(bytes(32)), CommitmentRejection.NO_TEXT),
        ("None", CommitmentRejection.NO_TEXT),
        (raw(b""), CommitmentRejection.NO_TEXT),
    ],
)
async def test_each_kind_is_rejected_for_its_own_reason(field: object, code: CommitmentRejection) -> None:
    chain = populated(1, kinds=((field,),))  # type: ignore[arg-type]
    async with discovering(chain) as (discovery, _, _node):
        (event,) = await discovery.poll()

    assert isinstance(event, MinerCommitmentRejected)
    assert (event.code, event.hotkey, event.committed_block) == (code, hotkey(0), 1001)


async def test_only_what_changed_is_appended() -> None:
    chain = populated(4)
    async with discovering(chain) as (discovery, _, _node):
        await discovery.poll()
        chain.commit(hotkey(1), raw("user/policy:89abcdef:other"))
        chain.register(hotkey(99), uid=2)
        chain.commit(hotkey(99), raw("user/policy:0123abcd:deployment"))
        chain.advance()

        events = await discovery.poll()

    assert [(type(event), event.hotkey, event.uid) for event in events] == [
        (MinerDeparted, hotkey(2), 2),
        (MinerCommitmentChanged, hotkey(1), 1),
        (MinerDiscovered, hotkey(99), 2),
    ]


async def test_what_is_not_finalized_is_not_seen() -> None:
    chain = populated(2)
    async with discovering(chain) as (discovery, _, _node):
        await discovery.poll()
        chain.commit(hotkey(1), raw("user/policy:89abcdef:other"))
        chain.produce()

        assert await discovery.poll() == []
        chain.finalize()
        assert len(await discovery.poll()) == 1


async def test_trouble_appends_nothing_and_the_next_poll_makes_up_for_it() -> None:
    chain = populated(2)
    async with discovering(chain) as (discovery, _, node):
        await node.stop()
        with pytest.raises(ChainTrouble):
            await discovery.poll()
        await node.start()

        assert len(await discovery.poll()) == 2


async def test_a_snapshot_has_the_metagraph_from_which_it_is() -> None:
    chain = populated(2)
    async with discovering(chain) as (_, source, _node):
        snapshot = await source.snapshot()

    assert snapshot.metagraph is not None
    assert snapshot.metagraph.block == snapshot.block == 1001
    assert "0x" + snapshot.metagraph.genesis == chain.hash_of(0)
