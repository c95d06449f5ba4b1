"""What a look at everything came to, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import structlog

from consumers.validator.attempt import Attempt, Fate, Pairs
from consumers.validator.checks import Check
from consumers.validator.deciding import Done, Refuse, Wait
from consumers.validator.facts import BLOCK_S, Facts

POLL_S = 30.0
"""How often a backend is asked for its newest weights."""

log = structlog.stdlib.get_logger(__name__)


class Outcome(Enum):
    """How a round ended."""

    DONE = auto()
    """Nothing is new."""
    SUBMITTED = auto()
    WAITING = auto()
    """For the chain: a rate limit, or the fate of what was sent."""
    REFUSED = auto()
    """A check failed, or the chain would not take the weights from us."""
    TROUBLE = auto()
    """A backend or the chain is away."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one look came to."""

    outcome: Outcome
    detail: str
    wait_s: float = POLL_S
    """Before the next look is of use."""


def as_round(decision: Done | Wait | Refuse, facts: Facts | None) -> Round:
    """What a decision that submits nothing comes to."""
    match decision:
        case Wait(why, block):
            blocks = max(1, block - facts.block) if facts else 1
            return Round(Outcome.WAITING, why, min(blocks * BLOCK_S, POLL_S))
        case Refuse(why):
            return Round(Outcome.REFUSED, why)
        case Done(why):
            return Round(Outcome.DONE, why)


def told(attempt: Attempt, facts: Facts) -> str:
    """What became of an attempt, for people."""
    cycle, block = attempt.cycle, attempt.block
    match attempt.fate:
        case Fate.LANDED if attempt.sealed:
            rounds = [each.reveal_round for each in facts.us.commits if each.block == block] if facts.us else []
            return f"cycle {cycle} is committed at block {block}, to be revealed in round {rounds or 'past'}"
        case Fate.LANDED:
            return f"cycle {cycle} is on the chain since block {block}, as {_listed(attempt.weights)}"
        case Fate.REVEALED:
            return f"cycle {cycle}, committed at block {block}, is revealed as {_listed(attempt.weights)}"
        case Fate.OTHERS:
            there = _listed(facts.us.weights) if facts.us else "nothing"
            return (
                f"cycle {cycle}: the chain holds {there} of our hotkey since block {block}, expected"
                f" {_listed(attempt.weights)}; does another validator run with it?"
            )
        case Fate.LOST:
            return f"what was sent of cycle {cycle} is lost: it is not on the chain at block {facts.block}"
        case Fate.SENT:
            return f"cycle {cycle} may yet come until block {attempt.lost_after}"


def _listed(weights: Pairs) -> str:
    return ", ".join(f"{uid}: {value}" for uid, value in weights) or "nothing"


def tell_check(check: Check) -> None:
    """Logs a check, with its verdict and time."""
    verdict = {True: "passed", False: "FAILED", None: "not judged"}[check.passed]
    tell = log.error if check.passed is False else log.info
    tell(f"check {check.name}", verdict=verdict, seconds=round(check.seconds, 3), detail=check.detail)
