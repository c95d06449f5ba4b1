"""What a sealed cycle consists of, checked against its seal before anything follows from it.

EvidenceRefused     the events in the log are not those that the seal speaks of
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from consumers.scoring.copies import Acting, Actions
from consumers.scoring.drawn import not_as_drawn
from consumers.scoring.rates import Counting, Tallies
from consumers.scoring.unpaid import Unpaid
from events import subjects
from events.codec import CodecError, decode, decode_as
from events.cycles import CyclePlanned, CycleSealed, CycleSeeded, OutcomeCounts
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import CycleId, EpisodeKey, Uid
from events.log import EventLog, Stored
from events.merkle import MerkleTree
from events.metagraph import SlotsChecked
from events.verification import VerificationOutcome, unverified


class EvidenceRefused(Exception):
    """The log and a seal disagree, so nobody may be paid on it: compare the log with a backup or another reader."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A plan, and what became of its episodes: as much of it as counts, since there may be a hundred thousand."""

    plan: CyclePlanned
    tallies: Tallies
    actions: Actions
    checks: tuple[VerificationOutcome, ...] = ()
    """One for each miner that was to be checked."""
    moved: frozenset[Uid] = frozenset()
    """Who of the plan lost its uid meanwhile."""

    @property
    def unpaid(self) -> Unpaid:
        return Unpaid(self.moved, unverified(self.plan.verification, self.checks))


async def read_evidence(log: EventLog, seal: CycleSealed) -> Evidence:
    """The events under a seal, read from the log and checked.

    Raises:
        EvidenceRefused: see the class.
        CodecError: an event cannot be read.
        LogUnavailable: no answer in time.
    """
    sealed = UnderSeal(seal)
    batches = log.read(after=seal.first_sequence - 1, subject=subjects.cycle(seal.cycle))
    async with aclosing(cast("Any", batches)):
        async for batch in batches:
            leaves = [stored for stored in batch if stored.sequence <= seal.last_sequence]
            await asyncio.to_thread(sealed.add, leaves)
            if batch[-1].sequence >= seal.last_sequence:
                break
    return await asyncio.to_thread(sealed.evidence)


async def read_abandoned(log: EventLog, cycle: CycleId) -> Evidence:
    """What a cycle consists of that was abandoned as a whole. No seal speaks of it.

    Raises:
        EvidenceRefused: it has no plan.
        CodecError, LogUnavailable: as `read_evidence`.
    """
    stored = await log.last(subjects.plan(cycle))
    if stored is None:
        raise EvidenceRefused(f"cycle {cycle} has ended, but the log has no plan at {subjects.plan(cycle)}")
    ended = _Ended(decode_as(CyclePlanned, stored).event)
    async for batch in log.read(after=stored.sequence, subject=subjects.outcomes(cycle)):
        for each in batch:
            if isinstance(event := decode(each).event, EpisodeOutcome):
                ended.add(event)
    return Evidence(ended.plan, ended.counting.tallies(), ended.acting.actions())


class UnderSeal:
    """The events of a cycle's subjects between a seal's two sequences, one batch after the other."""

    def __init__(self, seal: CycleSealed) -> None:
        self._seal = seal
        self._tree = MerkleTree()
        self._size = 0
        self._ended: _Ended | None = None
        self._plans = 0
        self._seeds: list[CycleSeeded] = []
        self._checks: list[VerificationOutcome] = []
        self._slots: list[SlotsChecked] = []
        self._trouble: CodecError | None = None

    def add(self, leaves: Sequence[Stored]) -> None:
        """In log order. What is wrong with them is said at the end, after whether they are the sealed ones."""
        for stored in leaves:
            self._tree.add(stored.body)
            self._size += 1
            if self._trouble is None:
                try:
                    self._take(decode(stored).event)
                except CodecError as error:
                    self._trouble = error

    def evidence(self) -> Evidence:
        """After the last of them.

        Raises:
            EvidenceRefused: their number, their hash, the outcomes' count or the plan's promises differ from the
                seal, or the spot checks or the slots that were checked are not the plan's.
            CodecError: an event cannot be read.
        """
        self._check_tree()
        if self._trouble is not None:
            raise self._trouble
        if self._ended is None or self._plans != 1:
            cycle = self._seal.cycle
            raise EvidenceRefused(f"cycle {cycle}: expected one plan under the seal, the log has {self._plans}")
        plan, checks = self._ended.plan, tuple(self._checks)
        self._ended.check(self._seal)
        _check_secret(plan, self._seal)
        _check_drawn(plan, self._seeds, checks, self._seal)
        _check_slots(plan, self._slots)
        moved = frozenset(uid for slots in self._slots for uid in slots.moved)
        return Evidence(plan, self._ended.counting.tallies(), self._ended.acting.actions(), checks, moved)

    def _take(self, event: Event) -> None:
        match event:
            case CyclePlanned():
                self._plans += 1
                self._ended = self._ended or _Ended(event)
            case CycleSeeded():
                self._seeds.append(event)
            case SlotsChecked():
                self._slots.append(event)
            case _ if isinstance(event, EpisodeOutcome) and self._ended is not None:
                self._ended.add(event)
            case _ if isinstance(event, VerificationOutcome):
                self._checks.append(event)

    def _check_tree(self) -> None:
        seal = self._seal
        if self._size != seal.tree_size:
            raise EvidenceRefused(
                f"cycle {seal.cycle}: the seal covers {seal.tree_size} events from {seal.first_sequence} to"
                f" {seal.last_sequence}, the log has {self._size}"
            )
        if (root := self._tree.root().hex()) != seal.merkle_root:
            raise EvidenceRefused(
                f"cycle {seal.cycle}: the seal's Merkle root is {seal.merkle_root}, the log's is {root}"
            )


class _Ended:
    """How the episodes of one plan ended."""

    def __init__(self, plan: CyclePlanned) -> None:
        self.plan = plan
        self.counting, self.acting = Counting(plan), Acting(plan)
        self._kinds: Counter[type] = Counter()
        self._missing = {
            EpisodeKey(plan.cycle, entry.uid, env, index)
            for entry in plan.roster
            for env in plan.environments
            for index in range(plan.episodes_per_environment)
        }
        self._strangers: set[EpisodeKey] = set()

    def add(self, outcome: EpisodeOutcome) -> None:
        self._kinds[type(outcome)] += 1
        if outcome.key not in self._missing:
            self._strangers.add(outcome.key)
            return
        self._missing.discard(outcome.key)
        self.counting.add(outcome)
        self.acting.add(outcome)

    def check(self, seal: CycleSealed) -> None:
        """That what was added is what was planned and sealed.

        Raises:
            EvidenceRefused: these are not as many of each kind as the seal says, or not one for each episode.
        """
        kinds = self._kinds
        counts = OutcomeCounts(
            completed=kinds[EpisodeCompleted], forfeited=kinds[EpisodeForfeited], abandoned=kinds[EpisodeAbandoned]
        )
        if counts != seal.outcomes:
            raise EvidenceRefused(f"cycle {seal.cycle}: the seal counts {seal.outcomes!r}, the log has {counts!r}")
        if different := self._missing | self._strangers:
            some = ", ".join(sorted(key.id for key in different)[:3])
            raise EvidenceRefused(
                f"cycle {seal.cycle}: {len(different)} episodes are planned or have an outcome, but not both: {some}"
            )


def _check_drawn(
    plan: CyclePlanned, seeds: Sequence[CycleSeeded], checks: Sequence[VerificationOutcome], seal: CycleSealed
) -> None:
    seeded = seeds[0] if seeds else None
    if (first := next(not_as_drawn(plan, seeded, seal.secret, checks), None)) is not None:
        raise EvidenceRefused(
            f"cycle {plan.cycle}, spot checks, uid {first.uid}: the plan and the revealed secret ask for"
            f" {first.expected}, the log has {first.found}"
        )


def _check_slots(plan: CyclePlanned, checked: Sequence[SlotsChecked]) -> None:
    roster = {entry.uid for entry in plan.roster}
    for slots in checked:
        if plan.chain is None or slots.netuid != plan.chain.netuid or not roster.issuperset(slots.moved):
            netuid = plan.chain.netuid if plan.chain else None
            raise EvidenceRefused(
                f"cycle {plan.cycle}: the slots of netuid {slots.netuid} with the moved uids {list(slots.moved)} are"
                f" not those of the plan, which has netuid {netuid} and the uids {sorted(roster)}"
            )


def _check_secret(plan: CyclePlanned, seal: CycleSealed) -> None:
    revealed = hashlib.sha256(bytes.fromhex(seal.secret)).hexdigest()
    if revealed != plan.secret_commitment:
        raise EvidenceRefused(
            f"cycle {seal.cycle}: the plan committed to {plan.secret_commitment}, the secret hashes to {revealed}"
        )
