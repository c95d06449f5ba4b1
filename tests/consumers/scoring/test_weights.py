from __future__ import annotations

from decimal import Decimal
from math import exp, fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.scoring.weights import apportion, softmax, u16

ONE = Decimal(1)
small_points = st.lists(st.integers(0, 60), min_size=1, max_size=256)
all_points = st.lists(st.integers(0, 3**50), min_size=1, max_size=30)
temperatures = st.decimals("0.01", "1000", places=2)


def test_weights_are_the_exponentials_normalised() -> None:
    assert softmax([2, 1, 0], ONE) == [
        Decimal("0.665240955774821890"),
        Decimal("0.244728471054797652"),
        Decimal("0.090030573170380458"),
    ]


def test_temperature_divides_the_points() -> None:
    assert softmax([20, 10, 0], Decimal(10)) == softmax([2, 1, 0], ONE)


def test_last_digit_of_equal_weights_goes_to_the_first() -> None:
    assert softmax([7, 7, 7], ONE) == [
        Decimal("0.333333333333333334"),
        Decimal("0.333333333333333333"),
        Decimal("0.333333333333333333"),
    ]


def test_points_that_no_exponential_can_hold_are_compared_all_the_same() -> None:
    most = 50 * 2**49
    assert softmax([0, most, most - 1], ONE) == [0, Decimal("0.731058578630004879"), Decimal("0.268941421369995121")]


def test_exponentials_that_underflow_weigh_nothing() -> None:
    assert softmax([3**50, 0], Decimal("0.01")) == [1, 0]


@given(small_points, temperatures)
def test_weights_agree_with_binary_floating_point(points: list[int], temperature: Decimal) -> None:
    masses = [exp((it - max(points)) / float(temperature)) for it in points]
    for weight, mass in zip(softmax(points, temperature), masses, strict=True):
        assert float(weight) == pytest.approx(mass / fsum(masses), rel=1e-9, abs=1e-15)


@given(all_points, temperatures)
def test_weights_sum_to_one_in_eighteen_places(points: list[int], temperature: Decimal) -> None:
    weights = softmax(points, temperature)
    assert sum(weights) == 1
    assert all(it.as_tuple().exponent == -18 for it in weights)


@given(all_points, temperatures)
def test_more_points_never_weigh_less(points: list[int], temperature: Decimal) -> None:
    ranked = sorted(points, reverse=True)
    weights = softmax(ranked, temperature)
    assert weights == sorted(weights, reverse=True)


@given(small_points, temperatures)
def test_u16_weights_sum_to_the_full_scale_within_one_unit_each(points: list[int], temperature: Decimal) -> None:
    weights = softmax(points, temperature)
    whole = u16(weights)
    assert sum(whole) == 65535
    assert all(abs(it - 65535 * weight) < 1 for it, weight in zip(whole, weights, strict=True))


def test_units_left_over_go_to_the_largest_remainders() -> None:
    assert apportion([41, 35, 24], 10) == [4, 4, 2]


def test_equal_remainders_go_to_whoever_comes_first() -> None:
    assert apportion([1, 1, 1, 1], 6) == [2, 2, 1, 1]


@given(st.lists(st.integers(0, 10**40), min_size=1).filter(any), st.integers(1, 10**18))
def test_apportioned_numbers_sum_to_the_total_and_nothing_gets_nothing(masses: list[int], total: int) -> None:
    parts = apportion(masses, total)
    assert sum(parts) == total
    assert all(part == 0 for part, mass in zip(parts, masses, strict=True) if mass == 0)
