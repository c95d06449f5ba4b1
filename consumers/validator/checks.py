"""What a validator checks before it submits: every check has a name, a verdict and a time.

Refusal     a check failed
└── Alarm   the backend's key has signed two things of one cycle
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from consumers.audit.cycle.verdicts import Verdict
from events.for_people import ForPeople
from events.statements import StatementError


class Step(StrEnum):
    """The checks of our own, beside those of the audit (`consumers/audit/cycle/verdicts.py`)."""

    STATEMENT = "statement"
    """The weights are signed by the pinned key, or one that it announced, and for this subnet."""
    ANSWER = "answer"
    """What the backend serves as the newest weights is what follows from the cycle's events, field by field."""
    AGE = "age"
    """The cycle is not long over."""
    BACKENDS = "backends"
    """The other backends have no other statement of the cycle by the same key."""
    UIDS = "uids"
    """Every hotkey that gets weight still holds its uid, at a finalized block."""


class Refusal(ForPeople):
    """A check failed. The message says what was expected, and what was found."""


class Alarm(Refusal):
    """Whoever holds the backend's key says two things of one cycle. No other backend's word can mend that."""


@dataclass(frozen=True, slots=True)
class Check:
    """`passed` is None where nothing is judged, and `detail` says why."""

    name: str
    passed: bool | None
    detail: str
    seconds: float

    @classmethod
    def of(cls, verdict: Verdict) -> Check:
        return cls(verdict.name.value, verdict.same, verdict.detail, verdict.seconds)


def judged(name: Step, judge: Callable[[], str]) -> Check:
    """The check that `judge` makes: it tells what agrees, or raises `Refusal`."""
    started = perf_counter()
    try:
        detail, passed = judge(), True
    except (Refusal, StatementError) as refused:
        detail, passed = str(refused), False
    return Check(name.value, passed, detail, perf_counter() - started)
