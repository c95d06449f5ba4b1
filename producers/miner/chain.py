"""One hotkey on one subnet: what it has committed, and committing anew."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from events.chain.commitments import set_commitment
from events.chain.link import ChainLink
from events.chain.submission import ERA_BLOCKS, SUBMIT_S, Fate, submit
from events.chain.trouble import ChainTrouble
from events.ids import Hotkey
from producers.discovery.subtensor import POLL_S, RETRY_S, SubtensorMetagraph
from producers.miner.reading import Reading, reading_of


@dataclass(frozen=True, slots=True)
class Committing:
    """What became of a commitment."""

    fate: Fate
    """FINALIZED: the chain was seen to hold it. REFUSED: it does not, and will not. UNKNOWN: that cannot be told."""
    detail: str = ""
    """Why, unless it is finalized."""
    reading: Reading | None = None
    """If it is finalized: the block in which it was seen."""


LOST_AFTER_BLOCKS = 2 * ERA_BLOCKS
"""Counted from the newest finalized block before a submission: it is signed for the head, which is some blocks on."""
LOOK_S = 480.0
"""How long is looked for a commitment of unknown fate: so many blocks of 12 s, and finality behind them."""


class MinerChain:
    """`submit_s`, `look_s`, `retry_s`: how long a submission, its fate and a read are waited for."""

    def __init__(
        self,
        endpoints: Sequence[str],
        netuid: int,
        *,
        submit_s: float = SUBMIT_S,
        look_s: float = LOOK_S,
        retry_s: float = RETRY_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._netuid = netuid
        self._link = ChainLink(endpoints)
        self._metagraph = SubtensorMetagraph(self._link, netuid, retry_s=retry_s)
        self._submit_s, self._look_s, self._poll_s = submit_s, look_s, poll_s

    async def read(self, hotkey: Hotkey) -> Reading:
        """At the newest finalized block.

        Raises:
            ChainTrouble: it cannot be read, not even with some patience.
        """
        return reading_of(await self._metagraph.metagraph(), hotkey)

    async def commit(self, text: str, keypair: Any) -> Committing:
        """Sends the commitment once, and looks for it on the finalized chain, whatever the answer was.

        Raises:
            ChainTrouble: the chain cannot be read; nothing was sent.
        """
        before = await self.read(Hotkey(str(keypair.ss58_address)))
        sent = await submit(
            self._endpoints,
            lambda client: set_commitment(client, self._netuid, text, keypair),
            limit_s=self._submit_s,
        )
        if sent.fate is Fate.REFUSED:
            return Committing(Fate.REFUSED, sent.detail)
        return await self._looked_for(text, before, sent.detail)

    async def close(self) -> None:
        await self._link.close()

    async def _looked_for(self, text: str, before: Reading, detail: str) -> Committing:
        deadline_s = time.monotonic() + self._look_s
        while True:
            try:
                now = await self.read(before.hotkey)
            except ChainTrouble as trouble:
                detail = str(trouble)
            else:
                if now.holds(text, since=before.block):
                    return Committing(Fate.FINALIZED, "", now)
                if now.block > before.block + LOST_AFTER_BLOCKS:
                    lost = f"no block up to {now.block} has it, and no later one can: it was signed too long ago"
                    return Committing(Fate.REFUSED, f"{detail}; {lost}" if detail else lost)
            if time.monotonic() > deadline_s:
                return Committing(Fate.UNKNOWN, detail or f"it was not finalized within {self._look_s:g} s")
            await asyncio.sleep(self._poll_s * random.uniform(0.5, 1.0))
