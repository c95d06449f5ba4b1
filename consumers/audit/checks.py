"""The comparison of a claim, its recording and a second run: pure.

    is the secret the committed one, is the recording whole and the claim's own? ── no ──> different
    └─ yes: were versions and instruction sets the same?
            ├─ yes: everything must agree, bit for bit
            └─ no:  success must agree, and the reward within a tolerance; the rest is told, not judged

Other versions of MuJoCo and CPUs without FMA and AVX2 give other last digits, and contacts make more of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from consumers.audit.again import Again
from consumers.audit.case import Case
from events.episodes import Evidence
from events.variation import variation_digest
from sim.record import Record
from sim.trace import CHECKPOINT_STEPS, action_digest

ACTIONS = "actions"
REWARD_TOLERANCE = 0.05
"""Relative, where exactness cannot be expected."""
REWARD_TOLERANCE_MIN = 1.0
"""Absolute, for small rewards."""
DECISIVE_SETS = frozenset({"avx2", "fma"})
"""Without them the C library and MuJoCo come to other last digits; AVX-512 beside them changes none."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison. `same` is None where nothing is judged."""

    name: str
    same: bool | None
    detail: str
    step: int | None = None
    """The first at which it shows that the second run differs, counted from 1; 0 is the reset."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit came to."""

    episode: str
    checks: tuple[Check, ...]
    is_exact: bool
    """Whether exactness could be expected, and was asked for."""

    @property
    def agrees(self) -> bool:
        return all(check.same is not False for check in self.checks)

    @property
    def first_difference(self) -> Check | None:
        """The earliest step that differs, or else the first check that does."""
        different = [check for check in self.checks if check.same is False]
        placed = [check for check in different if check.step is not None]
        return min(placed, key=lambda check: check.step or 0) if placed else next(iter(different), None)

    @property
    def verdict(self) -> str:
        if first := self.first_difference:
            return f"{first.name} {first.detail}"
        return "identical" if self.is_exact else "agrees within the tolerance; exactness is not to be expected here"


def check_before(case: Case, record: Record) -> list[Check]:
    """What can be told without a second run: is the evidence itself in order?"""
    claim = case.claim
    planned = next(entry.hotkey for entry in case.plan.roster if entry.uid == case.key.uid)
    recorded = (record.about.get("episode"), record.about.get("attempt"))
    digest = action_digest(record.actions)
    return [
        _equal(
            "secret", case.is_committed, "is the one that the plan committed to", "is not what the plan committed to"
        ),
        _equal("miner", planned == claim.hotkey, claim.hotkey, f"{claim.hotkey}, but the plan has {planned}"),
        _equal(
            "recording",
            recorded == (case.key.id, claim.attempt),
            f"of attempt {claim.attempt}, {claim.steps} steps",
            f"is of episode {recorded[0]}, attempt {recorded[1]}",
        ),
        _equal(
            ACTIONS,
            digest == claim.evidence.action_digest,
            _short(digest),
            f"recorded have digest {_short(digest)}, the outcome says {_short(claim.evidence.action_digest)}",
        ),
    ]


def check_again(case: Case, record: Record, again: Again) -> Audit:
    """All checks, in the order in which somebody would ask."""
    evidence = case.claim.evidence
    before = check_before(case, record)
    here = list(_same_machine(evidence, again))
    is_exact = all(check.same for check in here)
    if is_exact:
        checks = [*before, *here, *_exactly(case, record, again)]
    else:
        told = [replace(check, same=None) for check in (*here, *_exactly(case, record, again))]
        checks = [*before, *told, *_roughly(case, record, again)]
    return Audit(case.key.id, tuple(checks), is_exact)


def _same_machine(evidence: Evidence, again: Again) -> Iterator[Check]:
    others = [
        f"{name} {evidence.versions.get(name, 'unknown')} there, {again.versions.get(name, 'unknown')} here"
        for name in sorted(evidence.versions.keys() | again.versions.keys())
        if evidence.versions.get(name) != again.versions.get(name)
    ]
    mujoco = again.versions.get("mujoco", "unknown")
    yield _equal("versions", not others, f"mujoco {mujoco} and all others", "; ".join(others))
    there, here = _decisive(evidence.machine), _decisive(again.machine)
    yield _equal("machine", there == here, evidence.machine, f"{evidence.machine} there, {again.machine} here")


def _decisive(machine: str) -> tuple[str, frozenset[str]]:
    """The architecture, and those instruction sets by which results differ."""
    architecture, _, rest = machine.partition(", ")
    return architecture, DECISIVE_SETS & frozenset(rest.rpartition(", ")[2].split())


def _exactly(case: Case, record: Record, again: Again) -> Iterator[Check]:
    claim, physics = case.claim, again.physics
    yield _variation(claim.evidence, record.variation, physics.variation)
    yield _rewards(claim.total_reward, record.track.rewards, again.track.rewards)
    yield _states(record.track.checkpoints, again.track.checkpoints)
    yield _equal(
        "final state",
        physics.final_state_digest == claim.evidence.final_state_digest,
        _short(physics.final_state_digest),
        f"{_short(physics.final_state_digest)} here, the outcome says {_short(claim.evidence.final_state_digest)}",
    )
    claimed = {
        "steps": claim.steps,
        "success": claim.success,
        "terminated": claim.terminated,
        "truncated": claim.truncated,
        "total_reward": claim.total_reward,
    }
    yield _outcome({name: value for name, value in claimed.items() if value is not None}, again)


def _variation(evidence: Evidence, recorded: Mapping[str, float], drawn: Mapping[str, float]) -> Check:
    digest = variation_digest(drawn)
    names = sorted(recorded.keys() | drawn.keys())
    others = [
        f"{name} {drawn.get(name)} here, {recorded.get(name)} recorded"
        for name in names
        if recorded.get(name) != drawn.get(name)
    ]
    if others:
        return Check("variation", False, others[0], 0)
    if digest != evidence.variation_digest:
        return Check("variation", False, f"{_short(digest)}, the outcome says {_short(evidence.variation_digest)}", 0)
    return Check("variation", True, f"{len(names)} numbers drawn from the seed")


def _rewards(claimed_total: float | None, recorded: Sequence[float], again: Sequence[float]) -> Check:
    for step, (there, here) in enumerate(zip_longest(recorded, again), start=1):
        if there != here:
            return Check("rewards", False, _reward_difference(step, there, here), step)
    total = _sum(recorded)
    if claimed_total is not None and total != claimed_total:
        return Check("rewards", False, f"add up to {total!r}, the outcome says {claimed_total!r}")
    return Check("rewards", True, f"{len(recorded)} steps, {total:.6g} in all")


def _reward_difference(step: int, there: float | None, here: float | None) -> str:
    if here is None:
        return f"differ at step {step}: the episode had ended here, {there!r} recorded"
    if there is None:
        return f"differ at step {step}: reward {here!r} here, none recorded"
    return f"differ at step {step}: reward {here!r} here, {there!r} recorded"


def _states(recorded: Sequence[str], again: Sequence[str]) -> Check:
    for number, (there, here) in enumerate(zip_longest(recorded, again)):
        if there != here:
            step = number * CHECKPOINT_STEPS
            where = f"after step {step - CHECKPOINT_STEPS}, by step {step}" if number else "from the start"
            return Check("states", False, f"differ {where}", step)
    return Check("states", True, f"{len(recorded)} checkpoints, one every {CHECKPOINT_STEPS} steps")


def _outcome(claimed: Mapping[str, object], again: Again) -> Check:
    others = [
        f"{name} {getattr(again.physics, name)!r} here, {value!r} in the outcome"
        for name, value in claimed.items()
        if getattr(again.physics, name) != value
    ]
    story = "success" if again.physics.success else "no success"
    return _equal("outcome", not others, f"{story} after {again.physics.steps} steps", "; ".join(others))


def _roughly(case: Case, record: Record, again: Again) -> Iterator[Check]:
    claim, physics = case.claim, again.physics
    yield _equal(
        "success",
        physics.success == claim.success,
        f"{physics.success}, as in the outcome",
        f"{physics.success} here, {claim.success} in the outcome",
    )
    there = _sum(record.track.rewards) if claim.total_reward is None else claim.total_reward
    tolerance = max(REWARD_TOLERANCE_MIN, REWARD_TOLERANCE * abs(there))
    told = f"{physics.total_reward:.6g} here, {there:.6g} in the outcome, {tolerance:.3g} apart at most"
    yield _equal("total reward", abs(physics.total_reward - there) <= tolerance, told, told)


def _sum(rewards: Sequence[float]) -> float:
    """In step order, one by one, as the outcome's: Python's own `sum` compensates from 3.12 on."""
    total = 0.0
    for reward in rewards:
        total += reward
    return total


def _equal(name: str, same: bool, if_same: str, if_not: str) -> Check:
    return Check(name, same, if_same if same else if_not)


def _short(digest: str) -> str:
    return f"{digest[:12]}…"
