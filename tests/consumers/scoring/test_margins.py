from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.margins import Margin, RateGrid
from consumers.scoring.rates import Rate


def passes(later: Rate, earlier: Rate, margin: Margin) -> bool:
    grid = RateGrid.of([later, earlier])
    return grid.marks[0] - grid.marks[1] > margin.reach(grid.units)


def test_grid_holds_every_rate_unrounded() -> None:
    rates = [Rate(1, 3), Rate(3, 7), Rate(0, 0), Rate(50, 50)]
    grid = RateGrid.of(rates)
    assert grid.units == 3 * 7 * 50
    assert [Fraction(mark, grid.units) for mark in grid.marks] == [rate.value for rate in rates]


@pytest.mark.parametrize(("earlier", "margin"), [(70, "0.1"), (1, "0.06"), (50, "0.05"), (90, "0.1"), (28, "0.02")])
def test_rate_exactly_on_a_margin_does_not_pass_it(earlier: int, margin: str) -> None:
    on_it = earlier + int(100 * Decimal(margin))
    assert not passes(Rate(on_it, 100), Rate(earlier, 100), Margin.of(Decimal(margin)))


@pytest.mark.parametrize(("earlier", "margin"), [(70, "0.1"), (1, "0.06"), (50, "0.05"), (28, "0.02")])
def test_rate_a_billionth_above_a_margin_passes_it(earlier: int, margin: str) -> None:
    unit = 10**9
    above = earlier * unit // 100 + int(unit * Decimal(margin)) + 1
    assert passes(Rate(above, unit), Rate(earlier, 100), Margin.of(Decimal(margin)))


def test_binary_floating_point_would_decide_ties_by_luck() -> None:
    assert 0.8 > 0.7 + 0.1
    assert not 0.4 > 0.3 + 0.1


@given(st.fractions(0, 1, max_denominator=10**12), st.integers(1, 10**15))
def test_reach_is_the_largest_difference_within_the_margin(squared: Fraction, units: int) -> None:
    reach = Margin(squared).reach(units)
    assert Fraction(reach, units) ** 2 <= squared < Fraction(reach + 1, units) ** 2


@pytest.mark.parametrize(
    ("squared", "expected"),
    [(Fraction(1, 10**6), "0.01"), (Fraction(1, 400), "0.05"), (Fraction(1, 2), "0.2")],
)
def test_margin_is_clipped_to_its_limits(squared: Fraction, expected: str) -> None:
    assert Margin.clipped(squared, Decimal("0.01"), Decimal("0.20")).decimal() == Decimal(expected)


def test_margin_is_shown_to_eighteen_places() -> None:
    assert Margin(Fraction(2, 100)).decimal() == Decimal("0.141421356237309505")
