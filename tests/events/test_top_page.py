"""What `kinitro top` draws, in terminals of every size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from events.cycles import CycleSealed
from events.event import Event
from events.ids import EnvId
from events.top.page import Link, Page, Window, page, span
from events.weights import WeightsComputed
from tests.controls import facts
from tests.controls.cycles import large_cycle
from tests.events.test_top_watched import watched

WIDE = Window(120, 40)
HERE = Link("the log at 127.0.0.1:4222")
NOW = facts.MOMENT + timedelta(seconds=30)
RUNNING = [
    event
    for event in large_cycle(7, miners=100, environments=8, episodes=3)
    if not isinstance(event, CycleSealed | WeightsComputed)
]


def shown(events: Sequence[Event], window: Window = WIDE, link: Link = HERE) -> list[str]:
    return [line.plain for line in drawn(events, window, link).lines]


def drawn(events: Sequence[Event], window: Window, link: Link = HERE) -> Page:
    return page(watched(events), window, link, NOW)


def test_before_the_first_cycle_it_says_so() -> None:
    assert "no cycle yet" in shown([])[-1]


def test_each_cell_has_successes_of_episodes_done_and_forfeits() -> None:
    keys = [facts.key(index=index) for index in range(3)]
    lines = shown([facts.planned(), facts.completed(keys[0]), facts.forfeited(keys[1]), facts.abandoned(keys[2])])
    (row,) = (line for line in lines if "hotkey-0" in line)
    assert row.split() == ["0", "hotkey-0", "1/3", "-1", "0/0"]


def test_the_newest_outcomes_stand_above_older_ones() -> None:
    lines = shown([facts.planned(), facts.completed(), facts.forfeited(facts.key(index=1))])
    newest = next(place for place, line in enumerate(lines) if "forfeited: deadline_missed" in line)
    assert "success, 80 steps" in lines[newest + 1]


def test_a_cycle_without_miners_has_no_rows() -> None:
    assert shown([facts.planned(uids=())])[-1].startswith("all 0 miners")


@pytest.mark.parametrize("width", [20, 40, 64, 80, 120, 200])
@pytest.mark.parametrize("height", [8, 12, 24, 60])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    lines = drawn(RUNNING, Window(width, height)).lines
    assert len(lines) <= height
    assert max(line.cell_len for line in lines) <= width


def test_columns_that_do_not_fit_are_counted() -> None:
    (head,) = (line for line in shown(RUNNING, Window(60, 24)) if line.lstrip().startswith("uid"))
    fitting = sum(word.startswith("t") for word in head.split())
    assert 0 < fitting < 8
    assert head.endswith(f"+{8 - fitting}")


def test_names_of_environments_have_all_the_room_there_is() -> None:
    plan = facts.planned(environments=(EnvId("metaworld/button-press-topdown-v3"),))
    assert any("button-press-topdown" in line for line in shown([plan]))


def test_pages_of_miners_join() -> None:
    first = drawn(RUNNING, Window(80, 24))
    second = drawn(RUNNING, Window(80, 24, first.shown))
    assert second.first == first.shown
    assert any(f"hotkey-{first.shown} " in line.plain for line in second.lines)


def test_past_the_last_miner_the_last_ones_are_shown() -> None:
    last = drawn(RUNNING, Window(80, 24, 10_000))
    assert last.first + last.shown == 100


def test_what_a_server_says_cannot_steer_the_terminal() -> None:
    told = facts.forfeited().model_copy(update={"detail": "\x1b[2Jgone\n\x9b"})
    assert all(line.isprintable() for line in shown([facts.planned(), told]))


def test_once_there_are_weights_the_best_are_first() -> None:
    computed = facts.weights_computed()
    best = max(computed.standings, key=lambda it: float(it.weight)).uid
    lines = shown([facts.planned(uids=(1, 0)), facts.sealed(), computed])
    head = next(place for place, line in enumerate(lines) if line.lstrip().startswith("uid"))
    assert lines[head].endswith("weight")
    assert lines[head + 1].split()[0] == str(best)


def test_withheld_weights_are_explained() -> None:
    withheld = facts.weights_withheld()
    lines = shown([facts.planned(), facts.sealed(), withheld])
    assert any(withheld.detail in line for line in lines)


def test_a_lost_connection_is_told() -> None:
    assert "no connection to the log at 127.0.0.1:4222 for 12 s" in shown(RUNNING, link=Link(HERE.where, 12.3))[0]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (3_599.6, "1 h 0 min")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text
