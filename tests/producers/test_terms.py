"""Which terms of a cycle follow from the options."""

from __future__ import annotations

from producers.options import CycleOptions


def test_the_limit_of_forfeits_in_a_row_is_a_term_of_the_plan() -> None:
    assert CycleOptions(forfeits_in_row=7).terms().forfeits_in_row_max == 7


def test_there_is_a_limit_by_default() -> None:
    assert CycleOptions().terms().forfeits_in_row_max == 10
