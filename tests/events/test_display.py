"""How a scored cycle looks in a terminal."""

from __future__ import annotations

from rich.console import Console

from events.display import result_view
from events.weights import WeightsComputed
from tests.controls import facts


def shown(event: WeightsComputed) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(result_view(event))
    return captured.get().splitlines()


def test_who_has_no_weight_whatever_its_points_is_marked() -> None:
    computed = facts.weights_computed()
    first, second = computed.standings
    standings = (
        first.model_copy(update={"moved": True, "unverified": True}),
        second.model_copy(update={"unverified": True}),
    )
    _, header, *lines = shown(computed.model_copy(update={"standings": standings}))
    assert header.split()[-1] == "unpaid"
    assert [line.rstrip().endswith("moved, unverified") for line in lines] == [True, False]
    assert lines[1].split()[-2:] == ["6553", "unverified"]


def test_where_all_are_paid_by_their_points_there_is_no_such_column() -> None:
    _, header, *_ = shown(facts.weights_computed())
    assert header.split()[-1] == "u16"
