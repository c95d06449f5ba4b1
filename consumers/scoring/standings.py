"""Scores one cycle: rates, frontier, points, weights. Pure: the same input gives the same digits everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from consumers.scoring.dominance import epsilon, frontier
from consumers.scoring.families import ELEMENTS_MAX
from consumers.scoring.margins import Margin, RateGrid
from consumers.scoring.rates import Rate
from consumers.scoring.subsets import claims, points
from consumers.scoring.thresholds import gap
from consumers.scoring.unpaid import NOBODY, Unpaid
from consumers.scoring.weights import NO_WEIGHT, softmax, u16
from events.ids import Uid
from events.rules import ScoringRules


@dataclass(frozen=True, slots=True)
class Contender:
    """A miner of the cycle with its rates, one for each environment, in the order of the plan."""

    uid: Uid
    committed_block: int
    rates: tuple[Rate, ...]

    @property
    def seniority(self) -> tuple[int, Uid]:
        """Who is earlier: a total order, as no two miners of a cycle have one uid."""
        return self.committed_block, self.uid


@dataclass(frozen=True, slots=True)
class Standings:
    """What follows from the rates. Lists are in the order of the contenders, epsilons in that of the environments."""

    epsilons: list[Margin]
    on_frontier: list[bool]
    points: list[int]
    """Exact, and large: on 50 environments up to 50 x 2^49 (linear) or about 3^50 / 2 (exponential)."""
    weights: list[Decimal]
    """18 places, summing to exactly 1. Empty where nobody who may be paid has points: weights are never invented."""
    weights_u16: list[int]
    """The weights as integers summing to 65535; empty with them."""


def score(contenders: Sequence[Contender], planned: int, rules: ScoringRules, unpaid: Unpaid = NOBODY) -> Standings:
    """The standings of a cycle with `planned` episodes for each miner on each environment.

    The `unpaid` get no weight, and are rivals all the same. A miner's result does not depend on the order of the
    contenders: ties that concern digits go by uid.

    Time: a fraction of a second for 256 miners on 50 environments as they come. Counting subsets is #P-hard, and more
    than a hundred miners who agree on their rates can make it minutes: see `hitting_sets`.

    Raises:
        ValueError: two contenders have one uid or different numbers of rates, or there are too many environments.
    """
    epsilons = epsilons_of(contenders, planned, rules)
    earned = points_of(contenders, rules)
    weights, weights_u16 = weights_of(contenders, earned, rules, unpaid)
    return Standings(epsilons, frontier_of(contenders, epsilons), earned, weights, weights_u16)


def epsilons_of(contenders: Sequence[Contender], planned: int, rules: ScoringRules) -> list[Margin]:
    """The first step of `score`, and the one that refuses what cannot be scored."""
    _check(contenders)
    return [epsilon(RateGrid.of(column), planned, rules) for column in _columns(contenders)]


def frontier_of(contenders: Sequence[Contender], epsilons: Sequence[Margin]) -> list[bool]:
    """The second: who is on the frontier."""
    return frontier([RateGrid.of(column) for column in _columns(contenders)], epsilons, len(contenders))


def _check(contenders: Sequence[Contender]) -> None:
    uids = {contender.uid for contender in contenders}
    if len(uids) < len(contenders):
        raise ValueError(f"{len(contenders)} contenders have only {len(uids)} different uids")
    widths = {len(contender.rates) for contender in contenders}
    if len(widths) > 1 or max(widths, default=0) > ELEMENTS_MAX:
        raise ValueError(
            f"contenders have rates on {sorted(widths)} environments: "
            f"expected one number for all, at most {ELEMENTS_MAX}"
        )


def _columns(contenders: Sequence[Contender]) -> list[tuple[Rate, ...]]:
    """Per environment the rates of all contenders."""
    return [*zip(*(contender.rates for contender in contenders), strict=True)]


def points_of(contenders: Sequence[Contender], rules: ScoringRules) -> list[int]:
    """The third, and the one that may take long."""
    earliest_first = sorted(range(len(contenders)), key=lambda place: contenders[place].seniority)
    columns = _columns([contenders[place] for place in earliest_first])
    earned = [0] * len(contenders)
    if columns:
        grids = [RateGrid.of(column) for column in columns]
        for place, claim in zip(earliest_first, claims(grids, _gaps(columns, rules)), strict=True):
            earned[place] = points(claim, rules.points)
    return earned


def _gaps(columns: Sequence[Sequence[Rate]], rules: ScoringRules) -> list[list[Margin]]:
    """Computed once for each rate that occurs: they are far fewer than miners times environments."""
    known = {rate: gap(rate, rules) for column in columns for rate in set(column)}
    return [[known[rate] for rate in column] for column in columns]


def weights_of(
    contenders: Sequence[Contender], earned: Sequence[int], rules: ScoringRules, unpaid: Unpaid = NOBODY
) -> tuple[list[Decimal], list[int]]:
    """The last: weights and u16 weights, both empty where nobody but the `unpaid` has points.

    The others share as if these were not there. Where remainders are equal, the lower uid gets the last
    unit.
    """
    paid = [place for place in range(len(contenders)) if contenders[place].uid not in unpaid]
    if not any(earned[place] for place in paid):
        return [], []
    paid.sort(key=lambda place: contenders[place].uid)
    shares = softmax([earned[place] for place in paid], rules.temperature)
    weights, whole = [NO_WEIGHT] * len(contenders), [0] * len(contenders)
    for place, share, units in zip(paid, shares, u16(shares), strict=True):
        weights[place], whole[place] = share, units
    return weights, whole
