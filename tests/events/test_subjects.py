from __future__ import annotations

import re

import pytest

from events import subjects
from events.codec import TYPES
from events.event import Event
from events.ids import CycleId, Hotkey
from events.memory import matches
from events.stream_settings import events_settings, tasks_settings
from tests.controls import facts

NATS_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
BYTES_MAX = 255


def example(kind: type[Event]) -> Event:
    (found,) = (event for event in facts.one_of_each() if type(event) is kind)
    return found


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.__name__)
def test_every_type_has_a_subject_that_the_log_takes(kind: type[Event]) -> None:
    subject = subjects.subject_of(example(kind))
    assert NATS_SUBJECT.fullmatch(subject)
    (pattern,) = events_settings(1)["subjects"]
    assert matches(pattern, subject)


def test_different_things_have_different_subjects() -> None:
    names = [subjects.subject_of(event) for event in facts.one_of_each()]
    assert len(set(names)) == len(names)


def test_a_type_without_a_subject_is_loud() -> None:
    class Novelty(Event):
        type = "kinitro.novelty"

    with pytest.raises(TypeError, match="Novelty has no subject"):
        subjects.subject_of(Novelty())


def test_the_outcomes_of_an_episode_share_one_subject() -> None:
    key = facts.key()
    outcomes = (facts.completed(key), facts.forfeited(key), facts.abandoned(key))
    assert {subjects.subject_of(event) for event in outcomes} == {subjects.outcome(key)}


def test_the_ends_of_a_cycle_share_one_subject() -> None:
    assert (
        subjects.subject_of(facts.sealed(3))
        == subjects.subject_of(facts.cycle_abandoned(3))
        == subjects.seal(CycleId(3))
    )


def test_the_longest_subject_is_short_enough() -> None:
    family = task = "x" * 64
    key = facts.key(2**63, 65535, f"{family}/{task}", 2**31)  # type: ignore[arg-type]
    assert len(subjects.attempt(key, 100)) <= BYTES_MAX
    assert len(subjects.miner(Hotkey("h" * 64), 2**31)) <= BYTES_MAX


@pytest.mark.parametrize(
    ("pattern", "kinds"),
    [
        (subjects.ALL, set(TYPES)),
        (subjects.MINERS, {name for name in TYPES if ".miner." in name}),
        (subjects.PLANS, {"kinitro.cycle.planned"}),
        (subjects.SEALS, {"kinitro.cycle.sealed", "kinitro.cycle.abandoned"}),
        (
            subjects.OUTCOMES,
            {"kinitro.episode.completed", "kinitro.episode.forfeited", "kinitro.episode.abandoned"},
        ),
        (subjects.WEIGHTS, {"kinitro.weights.computed", "kinitro.weights.withheld"}),
        (subjects.cycle(CycleId(2)), {"kinitro.cycle.abandoned"}),
    ],
)
def test_a_filter_selects_its_types(pattern: str, kinds: set[str]) -> None:
    assert {event.type for event in facts.one_of_each() if matches(pattern, subjects.subject_of(event))} == kinds


def test_a_task_has_a_subject_that_the_queue_takes() -> None:
    subject = subjects.task(facts.key())
    (pattern,) = tasks_settings(1)["subjects"]
    assert matches(pattern, subject)
    assert matches(subjects.tasks(CycleId(1)), subject)
    assert not matches(subjects.tasks(CycleId(2)), subject)


def test_a_check_is_a_task_for_verifiers_and_not_for_workers() -> None:
    subject = subjects.task_of(facts.check_task())
    assert subject == "task.check.1.0"
    assert matches(subjects.CHECK_TASKS, subject)
    assert not matches(subjects.EPISODE_TASKS, subject)
    assert matches(subjects.tasks(CycleId(1)), subject)
