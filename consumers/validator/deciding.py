"""What to do next with the weights of a cycle, given what was done before and what the chain says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.validator.attempt import Attempt, Fate, Pairs
from consumers.validator.facts import Facts
from events.ids import CycleId


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing to do."""

    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It is not time yet: the chain must come to `block` first."""

    why: str
    block: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """It may not be submitted, and somebody should know."""

    why: str


@dataclass(frozen=True, slots=True)
class Alarmed:
    """One cycle, and two signed statements: nothing is to be submitted any more."""

    why: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Now."""


def before_checks(cycle: CycleId, attempt: Attempt | None, facts: Facts | None) -> Done | Wait | Refuse | None:
    """Whether this cycle's weights need no checks now; None if they do. `facts` while an attempt is open."""
    if attempt is None:
        return None
    if attempt.fate is Fate.SENT:
        lost_after = attempt.lost_after or (facts.head if facts else attempt.after_block)
        why = f"what was sent of cycle {attempt.cycle} is not on the chain, and may yet come until block {lost_after}"
        return Wait(why, lost_after)
    if cycle < attempt.cycle:
        return Refuse(
            f"the newest weights served are of cycle {cycle}, and cycle {attempt.cycle} was submitted before: an"
            " older cycle is never submitted after a newer one; ask the operator why the backend went back"
        )
    if cycle == attempt.cycle and attempt.is_done:
        return Done(f"cycle {cycle} is {_said(attempt)}")
    return None


def after_checks(
    cycle: CycleId, statement: str, weights: Pairs, attempt: Attempt | None, facts: Facts
) -> Done | Wait | Refuse | Alarmed | Submit:
    """What to do with weights that have passed all checks.

    `statement` is the digest of what was signed, `weights` what the chain would hold of them.
    """
    if attempt is not None and attempt.cycle == cycle and attempt.statement != statement:
        return Alarmed(
            f"ANOTHER STATEMENT OF CYCLE {cycle} WAS SIGNED BEFORE: it had SHA-256 {attempt.statement}, this one"
            f" {statement}; submit neither, and tell the operator"
        )
    if (unable := _unable(facts, weights)) is not None:
        return unable
    assert facts.us is not None
    if attempt is None and facts.us.weights == weights and not facts.commit_reveal:
        return Done(f"the chain holds exactly these weights of uid {facts.us.uid} already")
    if facts.blocks_to_wait:
        until = facts.block + facts.blocks_to_wait
        return Wait(
            f"weights were set at block {facts.us.last_update}, and {facts.rate_limit} blocks must lie between: next"
            f" at block {until}",
            until,
        )
    return Submit()


def _unable(facts: Facts, weights: Pairs) -> Refuse | None:
    """Why the chain would not take them from us."""
    us, subnet = facts.us, f"netuid {facts.netuid}"
    if us is None:
        return Refuse(f"our hotkey holds no uid of {subnet} at block {facts.block}: register it, or correct --netuid")
    if us.stake_rao < facts.stake_min_rao:
        return Refuse(
            f"uid {us.uid} has a stake of {us.stake_rao / 1e9:g}, and to set weights {facts.stake_min_rao / 1e9:g}"
            " are needed: stake more"
        )
    if not us.permit:
        return Refuse(
            f"uid {us.uid} has no validator permit on {subnet} at block {facts.block}: those with the most stake get"
            " one at the next epoch; stake more, or wait for it"
        )
    if len(weights) < facts.weights_min:
        return Refuse(f"{len(weights)} miners get weight, and {subnet} wants at least {facts.weights_min}")
    return None


def _said(attempt: Attempt) -> str:
    match attempt.fate:
        case Fate.OTHERS:
            return f"displaced by other weights of our hotkey at block {attempt.block}"
        case Fate.REVEALED:
            return f"on the chain, committed at block {attempt.block} and revealed"
        case _:
            return f"on the chain since block {attempt.block}" + (", not revealed yet" if attempt.sealed else "")
