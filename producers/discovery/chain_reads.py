"""What is asked of a node, all of it pinned to the hash of one block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from events.ids import Hotkey, Uid
from producers.discovery.metagraph import MetagraphSnapshot, Neuron, NoSubnet, RawCommitment, Reorganised
from producers.discovery.raw_commitments import raw_commitment

if TYPE_CHECKING:
    from producers.discovery.sdk import Node

_HASH = re.compile(r"0x[0-9a-f]{64}")


async def read_metagraph(node: Node, netuid: int) -> MetagraphSnapshot:
    """The subnet at the newest finalized block.

    Raises:
        NoSubnet: there is no such subnet.
        Reorganised: the block was no longer the chain's when all had been read.
        ValueError: an answer has a form that is not understood.
    """
    block_hash = await finalized_hash(node)
    block = await number_of(node, block_hash)
    # One after the other, and not at once: where one fails, nothing of the others is left under way.
    graph = await node.runtime_call("SubnetInfoRuntimeApi", "get_metagraph", [netuid], block_hash)
    if graph is None:
        raise NoSubnet(f"netuid {netuid} does not exist at block {block}; check --netuid and --network")
    neurons = _neurons(graph)
    registrations = await node.query_map("Commitments", "CommitmentOf", [netuid], block_hash)
    now = await hash_of(node, block)
    if now != block_hash:
        raise Reorganised(f"finalized block {block} was {block_hash} and is {now} now; it is read again")
    return MetagraphSnapshot(netuid, block, block_hash[2:], neurons, _commitments(neurons, dict(registrations)))


async def finalized_hash(node: Node) -> str:
    return _checked(await node.raw.rpc_request("chain_getFinalizedHead"), "the newest finalized block")


async def head_hash(node: Node) -> str:
    return _checked(await node.raw.rpc_request("chain_getHead"), "the newest block")


async def number_of(node: Node, block_hash: str) -> int:
    header = await node.raw.rpc_request("chain_getHeader", [block_hash])
    if header is None:
        raise Reorganised(f"block {block_hash} is not known to the node that has just named it")
    return int(header["number"], 16)


async def hash_of(node: Node, number: int) -> str:
    """As the chain is now: the SDK's own answer may be an older one, which it keeps."""
    answer = await node.raw.rpc_request("chain_getBlockHash", [number])
    if answer is None:
        raise Reorganised(f"the chain has no block {number} any more, or the node is behind")
    return _checked(answer, f"block {number}")


def _checked(answer: Any, of: str) -> str:
    if not isinstance(answer, str) or not _HASH.fullmatch(answer):
        raise ValueError(f"the hash of {of} is {answer!r:.100}, expected 0x and 64 lower-case hex digits")
    return answer


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
