"""Two sides that take all that they may, in a check of any length: it ends in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumers.verification.budget import (
    Length,
    Pace,
    at_first,
    by_distribution,
    by_distribution_s,
    by_value,
    by_value_s,
    first_s,
    later_allowance_s,
    later_s,
)
from consumers.verification.limits import CODE_START_S, code_allowance_s
from consumers.verification.terms import CheckTerms
from events.ids import EnvId
from events.verification import Measure

ENVIRONMENT = EnvId("metaworld/reach-v3")
QUICK = Pace(act_s=0.001, reset_s=0.001)


def terms(act_deadline_ms: float = 100.0, reset_deadline_ms: float = 5000.0, environments: int = 0) -> CheckTerms:
    return CheckTerms(
        tolerance=Decimal("0.001"),
        measure=Measure.BY_CHANNEL,
        seed=0,
        act_deadline_ms=act_deadline_ms,
        reset_deadline_ms=reset_deadline_ms,
        within_s=1800.0,
        environments=(ENVIRONMENT,) * environments,
    )


def slowest(lengths: Sequence[Length], reset_share: float = 0.0) -> Pace:
    """Of code that takes in its first run all that it may, a part of it for its resets."""
    allowance_s, acts = code_allowance_s(sum(each.acts for each in lengths)), sum(each.acts for each in lengths)
    return Pace((1 - reset_share) * allowance_s / acts, reset_share * allowance_s / len(lengths))


def chosen(lengths: Sequence[Length], places: Sequence[int]) -> list[Length]:
    return [lengths[place] for place in places]


LENGTHS = st.lists(st.builds(Length, st.integers(1, 500), st.booleans()), min_size=1, max_size=20)
TERMS = st.builds(terms, st.floats(10, 2000), st.floats(100, 20_000), st.integers(0, 50))
PACES: st.SearchStrategy[Callable[[Sequence[Length]], Pace]] = st.one_of(
    st.floats(0, 1).map(lambda share: lambda lengths: slowest(lengths, share)),
    st.builds(Pace, st.floats(0, 0.1), st.floats(0, 0.01)).map(lambda pace: lambda _: pace),
)


@given(LENGTHS, TERMS, PACES, st.floats(60, 7200))
def test_by_value_the_worst_case_ends_in_time(
    lengths: list[Length], terms: CheckTerms, pace_of: Callable[[Sequence[Length]], Pace], left_s: float
) -> None:
    spent_s = CODE_START_S
    first = chosen(lengths, at_first(lengths, left_s - spent_s))
    assume(first)
    spent_s += first_s(first)
    pace = pace_of(first)
    some = chosen(first, by_value(first, pace, terms, left_s - spent_s))
    assume(some)
    assert spent_s + by_value_s(some, pace, terms) <= left_s


@given(LENGTHS, TERMS, PACES, st.floats(60, 7200))
def test_by_distribution_the_worst_case_ends_in_time(
    lengths: list[Length], terms: CheckTerms, pace_of: Callable[[Sequence[Length]], Pace], left_s: float
) -> None:
    spent_s = CODE_START_S
    first = chosen(lengths, at_first(lengths, left_s - spent_s))
    assume(first)
    spent_s += first_s(first)
    pace = pace_of(first)
    second = chosen(first, by_value(first, pace, terms, left_s - spent_s))
    assume(second)
    spent_s += later_s(second, pace, 1)
    some = chosen(second, by_distribution(second, pace, terms, left_s - spent_s))
    assume(some)
    assert spent_s + by_distribution_s(some, pace, terms) <= left_s


@given(LENGTHS, st.floats(0, 1), st.integers(0, 50))
def test_with_the_defaults_something_fits_for_the_slowest(
    lengths: list[Length], reset_share: float, environments: int
) -> None:
    """Also where fetching took two minutes, and the code is not ready for one."""
    left_s = 1800.0 - 120.0 - CODE_START_S
    first = chosen(lengths, at_first(lengths, left_s))
    left_s -= first_s(first)
    pace = slowest(first, reset_share)
    assert by_value(first, pace, terms(environments=environments), left_s)


def test_quick_code_is_compared_on_all_of_twenty_samples_of_half_an_episode() -> None:
    lengths = [Length(240, number % 2 == 0) for number in range(20)]
    assert at_first(lengths, 1700.0) == list(range(20))
    assert by_value(lengths, QUICK, terms(environments=50), 1690.0) == list(range(20))


def test_slow_code_is_compared_on_fewer() -> None:
    lengths = [Length(250, number % 2 == 0) for number in range(20)]
    kept = by_value(lengths, slowest(lengths), terms(environments=50), 1200.0)
    assert kept == list(range(len(kept)))
    assert 5 <= len(kept) < 12


def test_where_the_first_sample_does_not_fit_the_shortest_is_taken() -> None:
    lengths = [Length(500), Length(300), Length(20), Length(400)]
    assert by_distribution(lengths, QUICK, terms(), 600.0) == [2]


def test_where_none_fits_none_is_kept() -> None:
    assert by_distribution([Length(500), Length(300)], QUICK, terms(), 100.0) == []


@pytest.mark.parametrize(("pace", "seconds"), [(QUICK, 10 + 4 * 6 * 0.101), (Pace(0.1, 0.1), 6 * (10 + 0.1 * 100))])
def test_later_runs_may_take_a_multiple_of_the_first_and_no_more_than_is_published(
    pace: Pace, seconds: float
) -> None:
    assert later_allowance_s(pace, 100, 1, runs=6) == pytest.approx(seconds)
