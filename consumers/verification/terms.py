"""The terms of one check."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from events.ids import EnvId
from events.verification import Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTerms:
    """What decides how two sides are asked and compared."""

    tolerance: Decimal
    """Of the relative error of an action."""
    measure: Measure
    """By which that error is taken."""
    seed: int
    """Of the permutations where distributions are compared."""
    act_deadline_ms: float
    reset_deadline_ms: float
    """Those of an evaluation; a check allows more (`limits`)."""
    within_s: float
    """How long the whole check may take."""
    environments: tuple[EnvId, ...] = ()
    """Of the cycle; none where there is no cycle."""
