"""What is asked of a node, all of it pinned to the hash of one block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from events.chain.reads import check_canonical, finalized_metagraph, hash_of
from events.ids import Hotkey, Uid
from producers.discovery.metagraph import MetagraphSnapshot, Neuron, RawCommitment
from producers.discovery.raw_commitments import raw_commitment

if TYPE_CHECKING:
    from events.chain.sdk import Node


async def read_metagraph(node: Node, netuid: int) -> MetagraphSnapshot:
    """The subnet at the newest finalized block.

    Raises:
        NoSubnet: there is no such subnet.
        Reorganised: the block was no longer the chain's when all had been read.
        ValueError: an answer has a form that is not understood.
    """
    # One after the other, and not at once: where one fails, nothing of the others is left under way.
    block, block_hash, graph = await finalized_metagraph(node, netuid)
    neurons = _neurons(graph)
    registrations = await node.query_map("Commitments", "CommitmentOf", [netuid], block_hash)
    genesis = await hash_of(node, 0)
    await check_canonical(node, block, block_hash)
    commitments = _commitments(neurons, dict(registrations))
    return MetagraphSnapshot(genesis[2:], netuid, block, block_hash[2:], neurons, commitments)


def _neurons(graph: Mapping[str, Any]) -> tuple[Neuron, ...]:
    columns = [graph[name] for name in ("hotkeys", "coldkeys", "total_stake", "block_at_registration")]
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"the metagraph's columns have {[len(column) for column in columns]} rows, expected as many")
    if len(set(graph["hotkeys"])) != len(graph["hotkeys"]):
        raise ValueError("the metagraph gives one hotkey two uids")
    return tuple(
        Neuron(Uid(uid), Hotkey(hotkey), str(coldkey), int(stake), int(registered))
        for uid, (hotkey, coldkey, stake, registered) in enumerate(zip(*columns, strict=True))
    )


def _commitments(neurons: tuple[Neuron, ...], registrations: Mapping[Any, Any]) -> tuple[RawCommitment, ...]:
    return tuple(
        raw_commitment(neuron.hotkey, registrations[neuron.hotkey])
        for neuron in neurons
        if neuron.hotkey in registrations
    )
