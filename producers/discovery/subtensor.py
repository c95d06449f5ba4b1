"""Miners, and blocks, from the chain. Only finalized blocks are read, through the nodes of a `ChainLink`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from events.chain.link import ChainLink
from events.chain.reads import finalized_hash, hash_of, head_hash, number_of
from events.chain.trouble import ChainTrouble, NoConnection, OtherChain, Reorganised, StatePruned
from producers.blocks import Block
from producers.clock import Sleep
from producers.discovery.chain_reads import read_metagraph
from producers.discovery.metagraph import MetagraphSnapshot
from producers.retry import retried

if TYPE_CHECKING:
    from events.chain.sdk import Node

T = TypeVar("T")
Tell = Callable[[Exception], None]

PASSING = (NoConnection, Reorganised, StatePruned, OtherChain)
"""What another try, or another node, may cure."""
RETRY_S = 15.0
"""How long one read is tried again."""
POLL_S = 3.0
"""How often is looked for a block that is awaited: one comes every 12 s."""
POLL_MAX_S = 60.0
"""The longest pause while the chain cannot be read."""


def _silent(_: Exception) -> None:
    return


class SubtensorMetagraph:
    """Snapshots of one subnet. `tell` hears of every trouble, also of what the next try cures."""

    def __init__(self, link: ChainLink, netuid: int, *, retry_s: float = RETRY_S, tell: Tell = _silent) -> None:
        self._link = link
        self._netuid = netuid
        self._retry_s = retry_s
        self._tell = tell

    async def metagraph(self) -> MetagraphSnapshot:
        """The subnet at the newest finalized block.

        Raises:
            ChainTrouble: it cannot be had, not even with some patience.
        """
        return await _tried(
            self._link, lambda node: read_metagraph(node, self._netuid), retry_s=self._retry_s, tell=self._tell
        )


class SubtensorBlocks:
    """A `BlockSource`: the chain's own blocks.

    Finalized blocks are asked for again and again instead of being subscribed to: a subscription dies with its
    connection, can fall silent without anybody's noticing, and saves a few small requests.
    """

    def __init__(
        self,
        link: ChainLink,
        *,
        retry_s: float = RETRY_S,
        poll_s: float = POLL_S,
        sleep: Sleep = asyncio.sleep,
        tell: Tell = _silent,
    ) -> None:
        self._link = link
        self._retry_s = retry_s
        self._poll_s = poll_s
        self._sleep = sleep
        self._tell = tell

    async def current(self) -> Block:
        """The head, which need not stay in the chain. The hash of what is finalized after it is not known yet.

        Raises:
            ChainTrouble: it cannot be had, not even with some patience.
        """
        return await _tried(self._link, _head, retry_s=self._retry_s, tell=self._tell)

    async def after(self, number: int) -> Block:
        """Block `number + 1`, once it is finalized. Chain trouble is told, and waited out."""
        pause_s = self._poll_s
        while True:
            try:
                block = await self._link.call(lambda node: _finalized(node, number + 1))
            except ChainTrouble as trouble:
                self._tell(trouble)
                pause_s = min(2 * pause_s, POLL_MAX_S)
            else:
                if block is not None:
                    return block
                pause_s = self._poll_s
            await self._sleep(pause_s * random.uniform(0.5, 1.0))


async def _tried(link: ChainLink, action: Callable[[Node], Awaitable[T]], *, retry_s: float, tell: Tell) -> T:
    return await retried(lambda: link.call(action), PASSING, limit_s=retry_s, tell=tell)


async def _head(node: Node) -> Block:
    block_hash = await head_hash(node)
    genesis = (await hash_of(node, 0))[2:]
    return Block(await number_of(node, block_hash), block_hash[2:], finalized=False, genesis=genesis)


async def _finalized(node: Node, number: int) -> Block | None:
    """None if it is not finalized yet."""
    if await number_of(node, await finalized_hash(node)) < number:
        return None
    genesis = (await hash_of(node, 0))[2:]
    return Block(number, (await hash_of(node, number))[2:], finalized=True, genesis=genesis)
