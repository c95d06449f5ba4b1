"""Blocks: where moments on the chain, and public entropy, come from."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from events.envelope import Clock, utc_now
from producers.clock import Sleep, sleep_until

BLOCK_TIME_S = 1.0

_DOMAIN = b"kinitro/local-block/1\x00"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain. `hash` is 32 bytes as lower-case hex, without 0x; `genesis` is that of block 0."""

    number: int
    hash: str
    finalized: bool
    genesis: str | None = None
    """None where there is no chain."""


class BlockSource(Protocol):
    """Who tells the block. A chain, or a clock where there is none."""

    async def current(self) -> Block:
        """The newest block known, finalized or not."""
        ...

    async def after(self, number: int) -> Block:
        """The first finalized block past `number`; waits until there is one."""
        ...


class ClockBlocks:
    """Block n begins n x `block_time_s` after `genesis`, and is final at once.

    Its hash is SHA-256 over `kinitro/local-block/1`, a zero byte, the length of the network's name (2 bytes,
    big-endian), the name in UTF-8, and n (8 bytes, big-endian). Anyone can compute it for any n, in advance: it is
    no entropy. Where these blocks are used, only the cycle's secret keeps seeds from being known beforehand.
    """

    def __init__(
        self,
        network: str,
        genesis: datetime,
        *,
        block_time_s: float = BLOCK_TIME_S,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        if genesis.tzinfo is None:
            raise ValueError(f"genesis {genesis.isoformat()} has no time zone; give it in UTC")
        if block_time_s <= 0:
            raise ValueError(f"block time is {block_time_s} s, expected more than 0")
        self._network = network
        self._genesis = genesis
        self._block_time = timedelta(seconds=block_time_s)
        self._clock = clock
        self._sleep = sleep

    async def current(self) -> Block:
        """The block of this moment.

        Raises:
            ValueError: the clock stands before the genesis.
        """
        return self._block(self._number_now())

    async def after(self, number: int) -> Block:
        begins = self._genesis + (number + 1) * self._block_time
        await sleep_until(begins, self._clock, self._sleep)
        return self._block(number + 1)

    def _number_now(self) -> int:
        now = self._clock()
        if now < self._genesis:
            raise ValueError(
                f"the clock shows {now.isoformat()}, before the genesis {self._genesis.isoformat()}; set the clock"
            )
        return (now - self._genesis) // self._block_time

    def _block(self, number: int) -> Block:
        name = self._network.encode()
        material = _DOMAIN + len(name).to_bytes(2, "big") + name + number.to_bytes(8, "big")
        return Block(number, hashlib.sha256(material).hexdigest(), finalized=True)
