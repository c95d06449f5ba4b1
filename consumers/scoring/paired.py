"""Two miners on the same episodes: in how many they differ, and whether that says who is better.

Both meet the same seeds, so their outcomes come in pairs, and only the pairs in which they differ say anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from math import comb
from typing import Annotated, Literal

from pydantic import Field

from events.cycles import CyclePlanned
from events.event import Value
from events.ids import EnvId, EpisodeKey, Uid

LEVEL = Fraction(95, 100)
"""Of the confidence interval; the p-value must be below what is left of 1."""

Z = Decimal("1.959963984540054235524594430520551")
"""The standard normal quantile at 0.975."""

SHOWN_PLACES = 12
"""Decimal places of what is not a fraction of small integers."""

_CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)


class PairedDifference(Value):
    """The pairs of two miners, and what follows. Rates are of the pairs that count for both."""

    both: Annotated[int, Field(ge=0, description="episodes in which both succeed")]
    only_first: Annotated[int, Field(ge=0)]
    only_second: Annotated[int, Field(ge=0)]
    neither: Annotated[int, Field(ge=0)]
    not_counted: Annotated[
        int, Field(ge=0, description="episodes that we failed to run for one of them, or for both")
    ]
    difference: Annotated[str | None, Field(description="first rate - second rate, as a fraction; null: no pairs")]
    low: Annotated[str, Field(description="lower end of the 95% confidence interval of the difference, a decimal")]
    high: Annotated[str, Field(description="upper end")]
    p_value: Annotated[str, Field(description="exact McNemar test, two-sided, a decimal")]
    verdict: Annotated[
        Literal["first is better", "second is better", "not separable"],
        Field(description="separable: the interval excludes 0 and the p-value is below 0.05"),
    ]


def compare(both: int, only_first: int, only_second: int, neither: int, not_counted: int = 0) -> PairedDifference:
    """The difference of two rates from the four counts of paired episodes, with what it is worth.

    The interval is good on average but a little short for some small samples, the test never errs too often: only
    where both agree are two miners told apart.

    Raises:
        ValueError: a count is negative.
    """
    n = both + only_first + only_second + neither
    low, high = interval(both, only_first, only_second, neither)
    p = mcnemar(only_first, only_second)
    separable = (low > 0 or high < 0) and p < 1 - LEVEL
    better: Literal["first is better", "second is better"] = (
        "first is better" if only_first > only_second else "second is better"
    )
    return PairedDifference(
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        not_counted=not_counted,
        difference=str(Fraction(only_first - only_second, n)) if n else None,
        low=_text(low),
        high=_text(high),
        p_value=_text(_CONTEXT.divide(Decimal(p.numerator), Decimal(p.denominator))),
        verdict=better if separable else "not separable",
    )


def interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[Decimal, Decimal]:
    """The 95% confidence interval of the difference of two paired proportions; [-1, 1] for no pairs.

    R. G. Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired
    data, Statistics in Medicine 17 (1998), 2635-2650, method 10: the Wilson intervals of both proportions, squared
    and added, with the correlation of the pairs (continuity corrected). It needs no minimum of pairs, and does not
    shrink to a point where no pair differs.
    """
    n = both + only_first + only_second + neither
    if n == 0:
        return -_ONE, _ONE
    first, second = both + only_first, both + only_second
    below_first, above_first = _wilson(first, n)
    below_second, above_second = _wilson(second, n)
    phi = _correlation(both, only_first, only_second, neither)
    difference = _CONTEXT.divide(Decimal(first - second), Decimal(n))
    low = _CONTEXT.subtract(difference, _added(below_first, above_second, phi))
    high = _CONTEXT.add(difference, _added(above_first, below_second, phi))
    return max(low, -_ONE), min(high, _ONE)


def mcnemar(only_first: int, only_second: int) -> Fraction:
    """The exact two-sided McNemar test: were both equally good, each differing pair would be a fair coin's toss.

    Twice the smaller tail of the binomial distribution, at most 1, from integers alone (Q. McNemar, Psychometrika 12
    (1947), 153-157, in its exact form).
    """
    differing = only_first + only_second
    tail = sum(comb(differing, count) for count in range(min(only_first, only_second) + 1))
    return min(Fraction(2 * tail, 2**differing), Fraction(1))


def _wilson(successes: int, n: int) -> tuple[Decimal, Decimal]:
    """How far the Wilson score interval reaches below and above the proportion."""
    square = _CONTEXT.multiply(Z, Z)
    scale = _CONTEXT.multiply(Decimal(2), _CONTEXT.add(Decimal(n), square))
    spread = _CONTEXT.add(square, _CONTEXT.divide(Decimal(4 * successes * (n - successes)), Decimal(n)))
    half = _CONTEXT.divide(_CONTEXT.multiply(Z, _CONTEXT.sqrt(spread)), scale)
    centre = _CONTEXT.divide(_CONTEXT.add(Decimal(2 * successes), square), scale)
    offset = _CONTEXT.subtract(centre, _CONTEXT.divide(Decimal(successes), Decimal(n)))
    return _CONTEXT.subtract(half, offset), _CONTEXT.add(half, offset)


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> Decimal:
    """Newcombe's corrected phi, in [-1, 1]; 0 where a margin is empty."""
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return Decimal(0)
    cross = Fraction(both * neither - only_first * only_second)
    if cross > 0:
        cross = max(cross - Fraction(n, 2), Fraction(0))
    return _CONTEXT.divide(
        Decimal(cross.numerator), _CONTEXT.multiply(Decimal(cross.denominator), _CONTEXT.sqrt(Decimal(margins)))
    )


def _added(a: Decimal, b: Decimal, phi: Decimal) -> Decimal:
    """sqrt(a^2 - 2 phi a b + b^2)."""
    cross = _CONTEXT.multiply(_CONTEXT.multiply(Decimal(2), phi), _CONTEXT.multiply(a, b))
    squares = _CONTEXT.add(_CONTEXT.multiply(a, a), _CONTEXT.multiply(b, b))
    return _CONTEXT.sqrt(max(_CONTEXT.subtract(squares, cross), Decimal(0)))


def _text(number: Decimal) -> str:
    shown = _CONTEXT.quantize(number, _ONE.scaleb(-SHOWN_PLACES))
    return f"{shown.normalize(_CONTEXT) + 0:f}"


class PairedMiners(Value):
    """Two miners on all episodes of a cycle, and on those of each environment."""

    overall: PairedDifference
    environments: dict[EnvId, PairedDifference]


Successes = Mapping[tuple[EnvId, int], bool | None]
"""By environment and index of the episode; None, or absent, where nothing can be said about it."""


def pair(environments: Sequence[EnvId], episodes: int, first: Successes, second: Successes) -> PairedMiners:
    """Two miners on the same planned episodes, numbered from 0 on each environment."""
    counted = {
        env: Counter((first.get((env, index)), second.get((env, index))) for index in range(episodes))
        for env in environments
    }
    return PairedMiners(
        overall=_compared(sum(counted.values(), Counter())),
        environments={env: _compared(pairs) for env, pairs in counted.items()},
    )


def differing(first: Successes, second: Successes) -> list[tuple[EnvId, int]]:
    """Environment and index of the episodes in which exactly one of them succeeds, in their order."""
    return sorted(key for key, success in first.items() if {success, second.get(key)} == {True, False})


class Differing(Value):
    """An episode in which exactly one of two miners succeeds: both met the same seed."""

    first: Annotated[str, Field(description="id of the first miner's")]
    second: Annotated[str, Field(description="id of the second miner's")]
    succeeds: Literal["first", "second"]


class Compared(PairedMiners):
    """Two miners of a cycle, on the same episodes."""

    cycle: int
    first: Annotated[str, Field(description="hotkey")]
    second: str
    differing_total: int
    differing: list[Differing]
    next_offset: Annotated[int | None, Field(description="where the list goes on; null at its end")]


def compared(
    plan: CyclePlanned,
    uids: tuple[Uid, Uid],
    successes: tuple[Successes, Successes],
    *,
    limit: int | None = None,
    offset: int = 0,
) -> Compared:
    """Two miners of a plan; `limit` and `offset` are of the episodes in which they differ."""
    found = differing(*successes)
    end = len(found) if limit is None else offset + limit
    hotkeys = {entry.uid: entry.hotkey for entry in plan.roster}
    return Compared(
        **dict(pair(plan.environments, plan.episodes_per_environment, *successes)),
        cycle=plan.cycle,
        first=hotkeys[uids[0]],
        second=hotkeys[uids[1]],
        differing_total=len(found),
        differing=[
            Differing(
                first=EpisodeKey(plan.cycle, uids[0], *key).id,
                second=EpisodeKey(plan.cycle, uids[1], *key).id,
                succeeds="first" if successes[0][key] else "second",
            )
            for key in found[offset:end]
        ],
        next_offset=end if end < len(found) else None,
    )


def _compared(pairs: Counter[tuple[bool | None, bool | None]]) -> PairedDifference:
    both, only_first = pairs[True, True], pairs[True, False]
    only_second, neither = pairs[False, True], pairs[False, False]
    return compare(both, only_first, only_second, neither, pairs.total() - both - only_first - only_second - neither)
