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

from consumers.scoring.drawn import not_as_drawn
from consumers.scoring.unpaid import Unpaid
from events import subjects
from events.codec import decode, decode_as
from events.cycles import CyclePlanned, CycleSealed, CycleSeeded, OutcomeCounts
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.ids import CycleId, EpisodeKey, Uid
from events.log import EventLog, Stored
from events.merkle import MerkleTree
from events.metagraph import SlotsChecked
from events.verification import VerificationOutcome, unverified


class EvidenceRefused(Exception):
    """The log and a seal disagree, so nobody may be paid on it: compare the log with a backup or another reader."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A plan and one outcome for each of its episodes, in log order."""

    plan: CyclePlanned
    outcomes: tuple[EpisodeOutcome, ...]
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
    leaves: list[Stored] = []
    batches = log.read(after=seal.first_sequence - 1, subject=subjects.cycle(seal.cycle))
    async with aclosing(cast("Any", batches)):
        async for batch in batches:
            leaves += [stored for stored in batch if stored.sequence <= seal.last_sequence]
            if batch[-1].sequence >= seal.last_sequence:
                break
    return await asyncio.to_thread(check_evidence, leaves, seal)


def check_evidence(leaves: Sequence[Stored], seal: CycleSealed) -> Evidence:
    """The events of a cycle's subjects between the seal's two sequences, as its evidence.

    Raises:
        EvidenceRefused: their number, their hash, the outcomes' count or the plan's promises differ from the seal, or
            the spot checks or the slots that were checked are not the plan's.
        CodecError: an event cannot be read.
    """
    _check_tree(leaves, seal)
    events = [decode(stored).event for stored in leaves]
    plans = [event for event in events if isinstance(event, CyclePlanned)]
    if len(plans) != 1:
        raise EvidenceRefused(f"cycle {seal.cycle}: expected one plan under the seal, the log has {len(plans)}")
    outcomes = tuple(event for event in events if isinstance(event, EpisodeOutcome))
    _check_outcomes(plans[0], outcomes, seal)
    _check_secret(plans[0], seal)
    checks = tuple(event for event in events if isinstance(event, VerificationOutcome))
    _check_drawn(plans[0], [event for event in events if isinstance(event, CycleSeeded)], checks, seal)
    checked = [event for event in events if isinstance(event, SlotsChecked)]
    _check_slots(plans[0], checked)
    moved = frozenset(uid for slots in checked for uid in slots.moved)
    return Evidence(plans[0], outcomes, checks, moved)


async def read_abandoned(log: EventLog, cycle: CycleId) -> Evidence:
    """What a cycle consists of that was abandoned as a whole. No seal speaks of it.

    Raises:
        EvidenceRefused: it has no plan.
        CodecError, LogUnavailable: as `read_evidence`.
    """
    stored = await log.last(subjects.plan(cycle))
    if stored is None:
        raise EvidenceRefused(f"cycle {cycle} has ended, but the log has no plan at {subjects.plan(cycle)}")
    outcomes: list[EpisodeOutcome] = []
    async for batch in log.read(after=stored.sequence, subject=subjects.outcomes(cycle)):
        events = [decode(each).event for each in batch]
        outcomes += [event for event in events if isinstance(event, EpisodeOutcome)]
    return Evidence(decode_as(CyclePlanned, stored).event, tuple(outcomes))


def _check_tree(leaves: Sequence[Stored], seal: CycleSealed) -> None:
    if len(leaves) != seal.tree_size:
        raise EvidenceRefused(
            f"cycle {seal.cycle}: the seal covers {seal.tree_size} events from {seal.first_sequence} to"
            f" {seal.last_sequence}, the log has {len(leaves)}"
        )
    tree = MerkleTree()
    for stored in leaves:
        tree.add(stored.body)
    if (root := tree.root().hex()) != seal.merkle_root:
        raise EvidenceRefused(
            f"cycle {seal.cycle}: the seal's Merkle root is {seal.merkle_root}, the log's is {root}"
        )


def _check_outcomes(plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome], seal: CycleSealed) -> None:
    kinds = Counter(type(outcome) for outcome in outcomes)
    counts = OutcomeCounts(
        completed=kinds[EpisodeCompleted], forfeited=kinds[EpisodeForfeited], abandoned=kinds[EpisodeAbandoned]
    )
    if counts != seal.outcomes:
        raise EvidenceRefused(f"cycle {seal.cycle}: the seal counts {seal.outcomes!r}, the log has {counts!r}")
    planned = {
        EpisodeKey(plan.cycle, entry.uid, env, index)
        for entry in plan.roster
        for env in plan.environments
        for index in range(plan.episodes_per_environment)
    }
    if different := planned.symmetric_difference(outcome.key for outcome in outcomes):
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
