"""Which blocks there are, and who is on a subnet: the questions with which every pinned read begins and ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from events.chain.trouble import NoSubnet, Reorganised

if TYPE_CHECKING:
    from events.chain.sdk import Node

_HASH = re.compile(r"0x[0-9a-f]{64}")


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


async def finalized_metagraph(node: Node, netuid: int) -> tuple[int, str, Mapping[str, Any]]:
    """The newest finalized block's number and hash, and the subnet's metagraph there.

    Raises:
        NoSubnet: there is no such subnet.
    """
    block_hash = await finalized_hash(node)
    block = await number_of(node, block_hash)
    graph = await node.runtime_call("SubnetInfoRuntimeApi", "get_metagraph", [netuid], block_hash)
    if graph is None:
        raise NoSubnet(f"netuid {netuid} does not exist at block {block}; check --netuid and --network")
    return block, block_hash, graph


async def check_canonical(node: Node, block: int, block_hash: str) -> None:
    """To be asked when all has been read.

    Raises:
        Reorganised: the block is no longer the chain's.
    """
    if (now := await hash_of(node, block)) != block_hash:
        raise Reorganised(f"finalized block {block} was {block_hash} and is {now} now; it is read again")


def _checked(answer: Any, of: str) -> str:
    if not isinstance(answer, str) or not _HASH.fullmatch(answer):
        raise ValueError(f"the hash of {of} is {answer!r:.100}, expected 0x and 64 lower-case hex digits")
    return answer
