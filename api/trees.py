"""The sealed trees of cycles, as far as proofs are asked for: read from the log once, kept for the next proof."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from events import subjects
from events.cycles import CycleSealed
from events.ids import CycleId
from events.log import EventLog
from events.merkle import hash_leaf
from events.merkle_proofs import MerkleProver

KEPT_MAX = 4
"""Cycles. One of 100,000 episodes takes about 25 MB."""


class SealBroken(Exception):
    """The log holds other events than the seal speaks of; `kinitro audit` says which."""


@dataclass(frozen=True, slots=True)
class SealedTree:
    """The events under a seal: their sequences, ascending, and the tree over their bytes."""

    sequences: Sequence[int]
    prover: MerkleProver

    def index(self, sequence: int) -> int | None:
        """Which leaf the event at this sequence is; None where it is none."""
        place = bisect_left(self.sequences, sequence)
        return place if place < len(self.sequences) and self.sequences[place] == sequence else None


class SealedTrees:
    """The trees of the cycles that were asked for last. Cycles that have ended never change, so they stay right."""

    def __init__(self) -> None:
        self._kept: OrderedDict[CycleId, SealedTree] = OrderedDict()
        self._reading = asyncio.Lock()

    async def of(self, log: EventLog, seal: CycleSealed) -> SealedTree:
        """The tree of this seal. Who asks for one that is being read waits for it.

        Raises:
            SealBroken: see the class.
            LogUnavailable: no answer in time.
        """
        async with self._reading:
            if seal.cycle not in self._kept:
                self._kept[seal.cycle] = await _read(log, seal)
            self._kept.move_to_end(seal.cycle)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return self._kept[seal.cycle]


async def _read(log: EventLog, seal: CycleSealed) -> SealedTree:
    sequences: list[int] = []
    hashes: list[bytes] = []
    batches = log.read(after=seal.first_sequence - 1, subject=subjects.cycle(seal.cycle))
    async with aclosing(cast("Any", batches)):
        async for batch in batches:
            leaves = [stored for stored in batch if stored.sequence <= seal.last_sequence]
            sequences += [stored.sequence for stored in leaves]
            hashes += [hash_leaf(stored.body) for stored in leaves]
            if batch[-1].sequence >= seal.last_sequence:
                break
    if not hashes:
        raise SealBroken(f"cycle {seal.cycle}: the seal covers {seal.tree_size} events, the log has none")
    prover = await asyncio.to_thread(MerkleProver, hashes)
    if (found := (prover.size, prover.root.hex())) != (seal.tree_size, seal.merkle_root):
        raise SealBroken(
            f"cycle {seal.cycle}: the seal covers {seal.tree_size} events with root {seal.merkle_root}, the log has"
            f" {found[0]} with root {found[1]}"
        )
    return SealedTree(sequences, prover)
