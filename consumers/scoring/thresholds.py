"""The threshold that a later miner must exceed to take an environment from an earlier one.

threshold = min(p + gap, 1). No rate passes 1: a later one exceeds the threshold iff it passes p by more than the gap.
"""

from __future__ import annotations

from fractions import Fraction

from consumers.scoring.margins import Margin
from consumers.scoring.rates import Rate
from events.rules import ScoringRules

RATE_MIN, RATE_MAX = Fraction(1, 100), Fraction(99, 100)
"""Where a rate is held when its standard error is taken, so that 0 of n and n of n are not certainties."""


def gap(rate: Rate, rules: ScoringRules) -> Margin:
    """threshold_z x sqrt(p'(1 - p')/n), clipped to [gap_min, gap_max].

    p' is the rate clipped to [`RATE_MIN`, `RATE_MAX`], n its counted episodes; without any, it is the largest gap.
    """
    if rate.counted == 0:
        return Margin.of(rules.gap_max)
    p = min(max(rate.value, RATE_MIN), RATE_MAX)
    squared = Fraction(rules.threshold_z) ** 2 * p * (1 - p) / rate.counted
    return Margin.clipped(squared, rules.gap_min, rules.gap_max)
