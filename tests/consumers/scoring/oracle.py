"""The definitions of scoring, transcribed word by word and enumerated: slow, and too simple to be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import combinations
from math import isqrt

from consumers.scoring.rates import Rate
from consumers.scoring.standings import Contender
from events.rules import PointScheme, ScoringRules

_DIGITS = Context(prec=300)


def root(square: Fraction) -> Fraction:
    """Exact where it is rational; else to 300 digits, which no comparison with a rate can tell from exact."""
    top, bottom = isqrt(square.numerator), isqrt(square.denominator)
    if Fraction(top, bottom) ** 2 == square:
        return Fraction(top, bottom)
    quotient = _DIGITS.divide(Decimal(square.numerator), Decimal(square.denominator))
    return Fraction(_DIGITS.sqrt(quotient))


def clip(value: Fraction, low: Decimal | str, high: Decimal | str) -> Fraction:
    return max(Fraction(low), min(value, Fraction(high)))


def rate(of: Rate) -> Fraction:
    return Fraction(of.successes, of.counted) if of.counted > 0 else Fraction(0)


def epsilon(rates: Sequence[Fraction], n: int, rules: ScoringRules) -> Fraction:
    if n <= 1:
        return Fraction(rules.epsilon_max)
    mean = sum(rates, Fraction(0)) / len(rates)
    variance = sum(((it - mean) * (it - mean) for it in rates), Fraction(0)) / len(rates)
    return clip(Fraction(rules.epsilon_factor) * root(variance / n), rules.epsilon_min, rules.epsilon_max)


def dominates(a: Sequence[Fraction], b: Sequence[Fraction], epsilons: Sequence[Fraction]) -> bool:
    no_worse = all(x >= y - eps for x, y, eps in zip(a, b, epsilons, strict=True))
    return no_worse and any(x > y + eps for x, y, eps in zip(a, b, epsilons, strict=True))


def threshold(of: Rate, rules: ScoringRules) -> Fraction:
    p, n = rate(of), of.counted
    if n <= 0:
        return min(p + Fraction(rules.gap_max), Fraction(1))
    held = clip(p, "0.01", "0.99")
    gap = clip(Fraction(rules.threshold_z) * root(held * (1 - held) / n), rules.gap_min, rules.gap_max)
    return min(p + gap, Fraction(1))


def epsilons(contenders: Sequence[Contender], planned: int, rules: ScoringRules) -> list[Fraction]:
    columns = zip(*(contender.rates for contender in contenders), strict=True)
    return [epsilon([rate(it) for it in column], planned, rules) for column in columns]


def frontier(contenders: Sequence[Contender], planned: int, rules: ScoringRules) -> list[bool]:
    rates = [[rate(it) for it in contender.rates] for contender in contenders]
    margins = epsilons(contenders, planned, rules)
    return [not any(dominates(a, b, margins) for a in rates if a is not b) for b in rates]


def points(contenders: Sequence[Contender], rules: ScoringRules) -> list[int]:
    """By going through all 2^E - 1 subsets for each miner."""
    return [
        sum(
            worth(len(subset), rules.points)
            for size in range(1, len(miner.rates) + 1)
            for subset in combinations(range(len(miner.rates)), size)
            if wins(miner, subset, contenders, table)
        )
        for table in [_exceeding(contenders, rules)]
        for miner in contenders
    ]


def wins(
    miner: Contender, subset: Sequence[int], contenders: Sequence[Contender], exceeding: set[tuple[int, int, int]]
) -> bool:
    def exceeds(a: Contender, b: Contender) -> bool:
        return all((a.uid, b.uid, env) in exceeding for env in subset)

    def earlier(a: Contender, b: Contender) -> bool:
        return (a.committed_block, a.uid) < (b.committed_block, b.uid)

    later_rivals = [it for it in contenders if earlier(miner, it)]
    earlier_rivals = [it for it in contenders if earlier(it, miner)]
    return (
        not any(exceeds(it, miner) for it in later_rivals)
        and all(exceeds(miner, it) for it in earlier_rivals)
        and all(rate(miner.rates[env]) > 0 for env in subset)
    )


def worth(size: int, scheme: PointScheme) -> int:
    return {"linear": size, "exponential": 1 << (size - 1), "equal": 1}[scheme.value]


def _exceeding(contenders: Sequence[Contender], rules: ScoringRules) -> set[tuple[int, int, int]]:
    """(a, b, environment) where the rate of miner a exceeds the threshold of miner b."""
    return {
        (a.uid, b.uid, env)
        for b in contenders
        for env, of in enumerate(b.rates)
        for bar in [threshold(of, rules)]
        for a in contenders
        if rate(a.rates[env]) > bar
    }


def hitting_sets_by_size(universe: int, family: Sequence[int]) -> list[int]:
    """By going through all subsets of the universe."""
    counts = [0] * (universe.bit_count() + 1)
    subset = universe
    while True:
        if all(subset & member for member in family):
            counts[subset.bit_count()] += 1
        if subset == 0:
            return counts
        subset = (subset - 1) & universe
