"""The trees of which proofs are asked for, over a cycle's events or all ends: read once, kept for the next proof."""

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
from events.log import EventLog, Stored
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
        self.history = HistoryTree()
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


class HistoryTree:
    """The tree over the ends of all cycles. It only grows; a hash of 32 bytes a cycle is kept."""

    def __init__(self) -> None:
        self._hashes: list[bytes] = []
        self._position = 0
        self._reading = asyncio.Lock()

    async def consistency(self, log: EventLog, since: CycleId, cycle: CycleId) -> Consistency | None:
        """That the history of `cycle` begins with that of `since`, which is no later; None if `cycle` has not ended.

        Raises:
            SealBroken: the log lacks the end of a cycle before one that has ended.
            LogUnavailable: no answer in time.
        """
        async with self._reading:
            if len(self._hashes) < cycle:
                await self._catch_up(log)
        if len(self._hashes) < cycle:
            return None
        return await asyncio.to_thread(_consistency, self._hashes[:cycle], since)

    async def _catch_up(self, log: EventLog) -> None:
        async with aclosing(cast("Any", log.read(after=self._position, subject=subjects.SEALS))) as batches:
            async for batch in batches:
                for stored in batch:
                    self._add(stored)

    def _add(self, stored: Stored) -> None:
        expected = subjects.seal(CycleId(len(self._hashes) + 1))
        if stored.subject != expected:
            raise SealBroken(f"expected {expected} at sequence {stored.sequence}, the log has {stored.subject}")
        self._hashes.append(hash_leaf(stored.body))
        self._position = stored.sequence


@dataclass(frozen=True, slots=True)
class Consistency:
    """Two histories, and the proof that the later one begins with the earlier."""

    since_root: bytes
    root: bytes
    proof: list[bytes]


def _consistency(hashes: list[bytes], since: int) -> Consistency:
    prover = MerkleProver(hashes)
    return Consistency(MerkleProver(hashes[:since]).root, prover.root, prover.consistency(since))


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
