"""Epsilon-Pareto dominance between miners, and the frontier: whoever nobody dominates.

a epsilon-dominates b iff a >= b - epsilon on every environment and a > b + epsilon on at least one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from operator import or_

from consumers.scoring.margins import Margin, RateGrid
from events.rules import ScoringRules


def epsilon(grid: RateGrid, planned: int, rules: ScoringRules) -> Margin:
    """The epsilon of one environment: factor x (population standard deviation over miners) / sqrt(planned), clipped.

    `planned` is the number of episodes per miner in the plan. One or none says nothing about noise: then it is
    the largest epsilon.
    """
    if planned <= 1:
        return Margin.of(rules.epsilon_max)
    squared = Fraction(rules.epsilon_factor) ** 2 * variance(grid) / planned
    return Margin.clipped(squared, rules.epsilon_min, rules.epsilon_max)


def variance(grid: RateGrid) -> Fraction:
    """Population variance of the rates over miners, of which there is at least one."""
    miners = len(grid.marks)
    spread = miners * sum(mark**2 for mark in grid.marks) - sum(grid.marks) ** 2
    return Fraction(spread, (miners * grid.units) ** 2)


def frontier(grids: Sequence[RateGrid], epsilons: Sequence[Margin], miners: int) -> list[bool]:
    """For each miner, in the order of the grids, whether it is on the frontier.

    Sets of miners are bit masks: a miner costs two look-ups per environment, not a comparison with every rival.
    """
    near = [(1 << miners) - 1] * miners
    above = [0] * miners
    for grid, margin in zip(grids, epsilons, strict=True):
        reach = margin.reach(grid.units)
        ladder, standing_at = _ladder(grid.marks)
        for miner, mark in enumerate(grid.marks):
            near[miner] &= standing_at[bisect_left(ladder, mark - reach)]
            above[miner] |= standing_at[bisect_right(ladder, mark + reach)]
    return [not no_worse & better for no_worse, better in zip(near, above, strict=True)]


def _ladder(marks: Sequence[int]) -> tuple[list[int], list[int]]:
    """Marks in ascending order, and for each place in it the mask of the miners standing there or higher."""
    order = sorted(range(len(marks)), key=marks.__getitem__)
    standing_at = [*accumulate((1 << miner for miner in reversed(order)), or_, initial=0)]
    return [marks[miner] for miner in order], standing_at[::-1]
