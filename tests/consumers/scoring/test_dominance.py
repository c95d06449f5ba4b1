from __future__ import annotations

from decimal import Decimal

import pytest

from consumers.scoring.dominance import epsilon, frontier
from consumers.scoring.margins import Margin, RateGrid
from consumers.scoring.rates import Rate
from events.rules import ScoringRules

TENTH = Margin.of(Decimal("0.1"))


def grid(*percent: int) -> RateGrid:
    return RateGrid.of([Rate(it, 100) for it in percent])


@pytest.mark.parametrize(
    ("rates", "planned", "expected", "why"),
    [
        ((0, 100), 100, "0.1", "2 x 0.5 / 10"),
        ((20, 40, 60, 80), 25, "0.0894427", "2 x sqrt(0.05) / 5"),
        ((0, 100), 4, "0.2", "2 x 0.5 / 2 is above the largest"),
        ((50, 50, 50), 50, "0.01", "no spread is below the smallest"),
        ((10,), 50, "0.01", "one miner has no spread"),
        ((50, 50, 50), 1, "0.2", "one episode"),
        ((50, 50, 50), 0, "0.2", "no episodes"),
    ],
)
def test_epsilon_is_the_spread_over_the_root_of_planned_episodes(
    rates: tuple[int, ...], planned: int, expected: str, why: str
) -> None:
    assert round(epsilon(grid(*rates), planned, ScoringRules()).decimal(), 7) == Decimal(expected), why


def test_epsilon_uses_the_plan_and_not_the_counted_episodes() -> None:
    few_counted = RateGrid.of([Rate(0, 3), Rate(3, 3)])
    assert epsilon(few_counted, 100, ScoringRules()).decimal() == Decimal("0.1")


def test_miner_better_somewhere_and_no_worse_elsewhere_dominates() -> None:
    assert frontier([grid(80, 50), grid(45, 50)], [TENTH, TENTH], 2) == [True, False]


def test_miners_better_on_different_environments_are_both_on_the_frontier() -> None:
    assert frontier([grid(80, 50), grid(50, 80)], [TENTH, TENTH], 2) == [True, True]


def test_miner_exactly_epsilon_better_does_not_dominate() -> None:
    assert frontier([grid(80, 70)], [TENTH], 2) == [True, True]
    assert frontier([grid(81, 70)], [TENTH], 2) == [True, False]


def test_miner_exactly_epsilon_worse_elsewhere_still_dominates() -> None:
    assert frontier([grid(90, 50), grid(40, 50)], [TENTH, TENTH], 2) == [True, False]
    assert frontier([grid(90, 50), grid(39, 50)], [TENTH, TENTH], 2) == [True, True]


def test_dominance_may_run_in_a_circle_that_leaves_nobody() -> None:
    """Each is better than the next by more than epsilon on one environment, and worse by less on the others."""
    grids = [grid(50, 57, 64), grid(64, 50, 57), grid(57, 64, 50)]
    seven = Margin.of(Decimal("0.07"))
    assert frontier(grids, [seven] * 3, 3) == [False, False, False]


def test_equal_miners_share_the_frontier() -> None:
    assert frontier([grid(50, 50, 20)], [TENTH], 3) == [True, True, False]
