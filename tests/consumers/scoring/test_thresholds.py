from __future__ import annotations

from decimal import Decimal

import pytest

from consumers.scoring.rates import Rate
from consumers.scoring.thresholds import gap
from events.rules import ScoringRules


@pytest.mark.parametrize(
    ("rate", "expected", "why"),
    [
        (Rate(90, 100), "0.045", "1.5 x sqrt(0.9 x 0.1 / 100) = 1.5 x 0.03"),
        (Rate(320, 400), "0.03", "1.5 x sqrt(0.8 x 0.2 / 400) = 1.5 x 0.02"),
        (Rate(25, 50), "0.1", "1.5 x 0.0707 = 0.106 is above the largest gap"),
        (Rate(50_000, 100_000), "0.02", "1.5 x 0.00158 = 0.0024 is below the smallest gap"),
        (Rate(50, 50), "0.021107", "p' = 0.99: 1.5 x sqrt(0.99 x 0.01 / 50)"),
        (Rate(0, 50), "0.021107", "p' = 0.01: the same"),
        (Rate(0, 0), "0.1", "nothing was counted"),
    ],
)
def test_gap_is_a_multiple_of_the_standard_error(rate: Rate, expected: str, why: str) -> None:
    assert round(gap(rate, ScoringRules()).decimal(), 6) == Decimal(expected), why


def test_gap_follows_the_rules_of_the_cycle() -> None:
    rules = ScoringRules(threshold_z=Decimal("0.5"), gap_min=Decimal("0.001"), gap_max=Decimal("0.5"))
    assert gap(Rate(90, 100), rules).decimal() == Decimal("0.015")
    assert gap(Rate(0, 0), rules).decimal() == Decimal("0.5")
