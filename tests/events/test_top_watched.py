"""What `kinitro top` knows of a cycle, from its events alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from events.envelope import RecordedEvent, begin
from events.event import Event
from events.ids import EpisodeKey, Uid
from events.progress import Cell
from events.subjects import subject_of
from events.top.watched import RATE_WINDOW_S, WORKER_GONE, Snapshot, Watched
from tests.controls import facts
from tests.controls.cycles import large_cycle


def recorded(event: Event, sequence: int, time: datetime = facts.MOMENT) -> RecordedEvent[Event]:
    return RecordedEvent(sequence, subject_of(event), b"", begin(event, source="/test", time=time))


def watched(events: Sequence[Event], *, apart: timedelta = timedelta(seconds=1)) -> Watched:
    it = Watched()
    for number, event in enumerate(events):
        it.apply(recorded(event, number + 1, facts.MOMENT + number * apart))
    return it


def test_it_counts_every_outcome_of_the_cycle() -> None:
    it = watched(large_cycle(3, miners=4, environments=2, episodes=5))
    assert it.progress.done == 40
    assert sum(cell.done for cell in it.progress.cells.values()) == 40
    assert sum(cell.forfeited for cell in it.progress.cells.values()) == 2
    assert it.progress.attempts_failed == 1


def test_the_next_cycle_takes_the_place_of_the_last() -> None:
    it = watched([*large_cycle(1), facts.planned(2)])
    assert it.progress.plan == facts.planned(2)
    assert (it.progress.done, it.progress.ended, len(it.recent), it.result) == (0, None, 0, None)


def test_weights_stay_until_there_are_newer_ones() -> None:
    it = watched([*large_cycle(1), facts.planned(2)])
    assert it.weights is not None
    assert it.weights.cycle == 1


def test_weights_of_this_cycle_are_its_result() -> None:
    assert watched(large_cycle(1)).result is not None


def test_an_outcome_of_another_cycle_is_not_counted() -> None:
    it = watched([facts.planned(2), facts.completed(facts.key(cycle=1))])
    assert it.progress.done == 0


def test_the_rate_is_that_of_the_last_minute() -> None:
    plan, *outcomes = _outcomes(300)
    it = watched([plan, *outcomes], apart=timedelta(milliseconds=500))
    assert round(it.rate(facts.MOMENT + timedelta(seconds=150)), 1) == 2.0


def test_the_rate_of_a_young_cycle_is_over_its_age() -> None:
    it = watched(_outcomes(20), apart=timedelta(milliseconds=500))
    assert it.rate(facts.MOMENT + timedelta(seconds=10)) == 2.0


def test_nothing_for_a_minute_is_a_rate_of_zero_and_no_end_in_sight() -> None:
    it = watched(_outcomes(20))
    later = facts.MOMENT + timedelta(seconds=20 + RATE_WINDOW_S)
    assert (it.rate(later), it.left_s(later)) == (0.0, None)


def test_the_time_left_is_what_is_left_at_this_rate() -> None:
    plan = facts.planned(episodes=5)
    it = watched([plan, *(facts.completed(facts.key(index=index)) for index in range(4))])
    assert it.left_s(facts.MOMENT + timedelta(seconds=4)) == 16


def test_an_outcome_from_a_clock_that_is_behind_counts_as_now() -> None:
    it = watched(_outcomes(3))
    it.apply(recorded(facts.completed(facts.key(index=9)), 9, facts.MOMENT - timedelta(hours=1)))
    assert it.rate(facts.MOMENT + timedelta(seconds=4)) == 1.0


def test_a_worker_that_brings_nothing_is_forgotten() -> None:
    it = watched(_outcomes(3))
    assert it.workers(facts.MOMENT + timedelta(seconds=5)) == 1
    assert it.workers(facts.MOMENT + timedelta(seconds=5) + WORKER_GONE) == 0


def test_the_conductor_is_no_worker() -> None:
    given_up = facts.forfeited().model_copy(update={"worker": "conductor"})
    assert watched([facts.planned(), given_up]).workers(facts.MOMENT) == 0


def test_what_a_snapshot_holds_is_not_counted_again() -> None:
    it = Watched()
    it.restore(_snapshot(sequence=2))
    it.apply(recorded(facts.completed(facts.key(index=0)), 2))
    it.apply(recorded(facts.completed(facts.key(index=1)), 3))
    assert it.progress.done == 2


def test_the_result_is_taken_from_before_a_snapshot_too() -> None:
    it = Watched()
    it.restore(_snapshot(sequence=9))
    it.apply(recorded(facts.weights_computed(), 8))
    assert it.result == facts.weights_computed()


def _snapshot(sequence: int) -> Snapshot:
    cells = {(Uid(0), facts.REACH): Cell(completed=1, successful=1)}
    return Snapshot(sequence, facts.planned(), facts.MOMENT, None, None, cells, 0)


def _outcomes(count: int) -> list[Event]:
    """A plan, and so many of its outcomes."""
    plan = facts.planned(episodes=max(count, 2))
    keys = (EpisodeKey(plan.cycle, Uid(0), facts.REACH, index) for index in range(count))
    return [plan, *(facts.completed(key) for key in keys)]
