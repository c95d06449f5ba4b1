"""Newcombe's interval and the exact McNemar test, against published values and what must hold of any."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.paired import compare, interval, mcnemar

counts = st.tuples(*[st.integers(0, 60)] * 4)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((36, 12, 2, 0), "0.0569", "0.3404"),  # Newcombe 1998
        ((1, 1, 7, 12), "-0.5069", "-0.0256"),  # Bentur 2009, in Fagerland, Lydersen and Laake 2014
    ],
)
def test_interval_is_the_published_one(table: tuple[int, int, int, int], low: str, high: str) -> None:
    found = [end.quantize(Decimal("0.0001")) for end in interval(*table)]
    assert found == [Decimal(low), Decimal(high)]


@pytest.mark.parametrize(("one", "other", "p"), [(0, 5, "1/16"), (0, 6, "1/32"), (1, 7, "9/128"), (3, 3, "1")])
def test_p_value_is_exact(one: int, other: int, p: str) -> None:
    assert mcnemar(one, other) == mcnemar(other, one) == Fraction(p)


def test_five_differing_episodes_of_five_do_not_separate_two_miners() -> None:
    assert compare(0, 5, 0, 0).verdict == "not separable"
    assert compare(0, 6, 0, 0).verdict == "first is better"


def test_no_differing_episode_is_no_certainty() -> None:
    low, high = interval(5, 0, 0, 0)
    assert low < Decimal("-0.4")
    assert high > Decimal("0.4")


@given(table=counts)
def test_exchanging_the_miners_mirrors_everything(table: tuple[int, int, int, int]) -> None:
    both, first, second, neither = table
    one, other = compare(both, first, second, neither), compare(both, second, first, neither)
    assert (Decimal(other.low), Decimal(other.high)) == (-Decimal(one.high), -Decimal(one.low))
    assert other.p_value == one.p_value


@given(table=counts.filter(any))
def test_interval_holds_the_difference(table: tuple[int, int, int, int]) -> None:
    low, high = interval(*table)
    difference = Fraction(table[1] - table[2], sum(table))
    assert Fraction(low) - Fraction(1, 10**40) <= difference <= Fraction(high) + Fraction(1, 10**40)


def test_interval_covers_the_truth() -> None:
    """600 samples of 30 pairs; of a nominal 95 % less than 92 % would be 3.4 standard errors away."""
    random, covered = Random(1), 0
    shares = (0.5, 0.2, 0.1, 0.2)
    for _ in range(600):
        drawn = random.choices(range(4), shares, k=30)
        low, high = interval(*(drawn.count(kind) for kind in range(4)))
        covered += low <= Decimal("0.1") <= high
    assert covered >= 552
