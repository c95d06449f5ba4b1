"""The block to which a plan is pinned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from events.chain.trouble import ChainTrouble
from events.ids import CycleId
from events.metagraph import SEED_DELAY_BLOCKS
from producers.blocks import BlockSource
from producers.cycles.errors import ChainAway
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.source import SourceTrouble

ReadSubnet = Callable[[], Awaitable[MetagraphSnapshot]]
"""The subnet as it is now, at a finalized block, with what is new of its miners in the log; or raises `ChainTrouble`,
`SourceTrouble`."""


async def pin_of(cycle: CycleId, blocks: BlockSource, subnet: ReadSubnet | None) -> int | MetagraphSnapshot:
    """The newest block; where there is a chain, the whole subnet at a finalized one.

    Raises:
        ChainAway: the chain cannot be read, or does not finalize.
    """
    if subnet is None:
        return (await blocks.current()).number
    try:
        graph = await subnet()
        head = await blocks.current()
    except (ChainTrouble, SourceTrouble) as trouble:
        why = f"cycle {cycle} is not planned while the chain cannot be read: {trouble}"
        raise ChainAway(why) from trouble
    if head.number >= graph.block + SEED_DELAY_BLOCKS:
        raise ChainAway(
            f"cycle {cycle} is not planned while the chain does not finalize: block {graph.block} is final,"
            f" {head.number} the newest, expected fewer than {SEED_DELAY_BLOCKS} between them; wait, or name"
            " another node"
        )
    return graph
