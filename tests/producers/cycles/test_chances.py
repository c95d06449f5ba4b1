"""Whom a cycle waits for: every rule of the fold, and what holds in whatever order outcomes come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import draft
from events.envelope import begin
from events.episodes import ForfeitCode
from events.event import Event
from events.ids import CycleId, EpisodeKey, Uid
from events.log import Stored
from producers.cycles.chances import Standing
from producers.cycles.ending import given_up
from producers.cycles.state import CycleState, Step, next_step
from tests.controls import facts

LIMIT = 2
EPISODES = 4
"""Of each of two environments, so a miner has eight."""


def keys(uid: int) -> list[EpisodeKey]:
    """A miner's episodes in the order of the plan."""
    return [facts.key(1, uid, env, index) for env in (facts.REACH, facts.PUSH) for index in range(EPISODES)]


class Cycle:
    """A cycle into which tests put outcomes."""

    def __init__(self, *, miners: int = 2, limit: int | None = LIMIT) -> None:
        self.state = CycleState(CycleId(1))
        self.events: list[Event] = []
        self.decisions: list[object] = []
        """What was to be done after each event."""
        terms = facts.TERMS.model_copy(update={"forfeits_in_row_max": limit})
        self.add(facts.planned(uids=tuple(range(miners)), episodes=EPISODES, terms=terms), facts.seeded())

    def add(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            it = draft(begin(event, source="/t", time=facts.MOMENT))
            self.state.apply(Stored(len(self.events), it.subject, it.body))
            wanted = [key for key in self.state.missing() if self.state.wanted(key)]
            self.decisions.append((self.step, wanted, list(self.state.given_up())))

    def complete(self, which: Iterable[EpisodeKey]) -> None:
        self.add(*map(facts.completed, which))

    def forfeit(self, which: Iterable[EpisodeKey]) -> None:
        self.add(*map(facts.forfeited, which))

    def abandon(self, which: Iterable[EpisodeKey]) -> None:
        self.add(*map(facts.abandoned, which))

    def standing(self, uid: int = 0) -> Standing:
        return self.state.chances.of(Uid(uid)).standing

    def wanted(self, uid: int = 0) -> list[EpisodeKey]:
        return [key for key in keys(uid) if self.state.wanted(key)]

    @property
    def step(self) -> Step:
        return next_step(self.state, facts.MOMENT)


@pytest.fixture
def cycle() -> Cycle:
    return Cycle()


@pytest.fixture
def aside(cycle: Cycle) -> Cycle:
    """Miner 0 is set aside with six episodes left, miner 1 has all of its own before it."""
    cycle.forfeit(keys(0)[:LIMIT])
    return cycle


@pytest.fixture
def probed(aside: Cycle) -> Cycle:
    """Miner 1 is done."""
    aside.complete(keys(1))
    return aside


def test_up_to_the_limit_a_miner_is_waited_for(cycle: Cycle) -> None:
    cycle.forfeit(keys(0)[: LIMIT - 1])
    assert (cycle.standing(), len(cycle.wanted())) == (Standing.WAITED_FOR, 7)


def test_at_the_limit_a_miner_is_set_aside(aside: Cycle) -> None:
    assert (aside.standing(), aside.wanted()) == (Standing.ASIDE, [])


def test_the_others_are_waited_for_as_before(aside: Cycle) -> None:
    assert (aside.standing(1), len(aside.wanted(1))) == (Standing.WAITED_FOR, 8)


def test_a_completed_episode_ends_the_row(cycle: Cycle) -> None:
    first, second, third = keys(0)[:3]
    cycle.forfeit([first])
    cycle.complete([second])
    cycle.forfeit([third])
    assert cycle.standing() is Standing.WAITED_FOR


@pytest.mark.parametrize("ours", [facts.abandoned, facts.attempt_failed])
def test_failures_of_ours_neither_lengthen_a_row_nor_end_it(
    cycle: Cycle, ours: Callable[[EpisodeKey], Event]
) -> None:
    first, second, third = keys(0)[:3]
    cycle.forfeit([first])
    cycle.add(ours(second))
    assert cycle.standing() is Standing.WAITED_FOR
    cycle.forfeit([third])
    assert cycle.standing() is Standing.ASIDE


def test_without_a_limit_every_miner_is_waited_for() -> None:
    cycle = Cycle(limit=None)
    cycle.forfeit(keys(0)[:7])
    assert cycle.standing() is Standing.WAITED_FOR


def test_a_running_episode_that_completes_brings_its_miner_back(aside: Cycle) -> None:
    aside.complete(keys(0)[LIMIT : LIMIT + 1])
    assert (aside.standing(), len(aside.wanted())) == (Standing.WAITED_FOR, 5)


def test_coming_back_before_the_probe_uses_no_chance(aside: Cycle) -> None:
    aside.complete(keys(0)[2:3])
    aside.forfeit(keys(0)[3:5])
    assert aside.standing() is Standing.ASIDE


def test_a_running_episode_that_is_forfeited_decides_nothing(aside: Cycle) -> None:
    aside.forfeit(keys(0)[2:4])
    assert (aside.standing(), aside.state.chances.of(Uid(0)).in_row) == (Standing.ASIDE, 4)


def test_when_the_others_are_done_one_episode_is_wanted(probed: Cycle) -> None:
    assert (probed.standing(), probed.wanted()) == (Standing.PROBED, keys(0)[-1:])


def test_with_no_others_the_probe_comes_at_once() -> None:
    cycle = Cycle(miners=1)
    cycle.forfeit(keys(0)[:LIMIT])
    assert cycle.standing() is Standing.PROBED


def test_the_last_others_may_be_set_aside_too(aside: Cycle) -> None:
    aside.forfeit(keys(1)[:LIMIT])
    assert [aside.standing(0), aside.standing(1)] == [Standing.PROBED] * 2


def test_a_miner_that_has_nothing_left_is_not_probed(cycle: Cycle) -> None:
    cycle.forfeit(keys(0))
    cycle.complete(keys(1))
    assert (cycle.standing(), cycle.step) == (Standing.ASIDE, Step.SEAL)


def test_a_completed_probe_brings_its_miner_back(probed: Cycle) -> None:
    probed.complete(keys(0)[-1:])
    assert (probed.standing(), probed.wanted(), probed.step) == (Standing.WAITED_FOR, keys(0)[2:-1], Step.RUN)


def test_a_forfeited_probe_was_the_last_chance(probed: Cycle) -> None:
    probed.forfeit(keys(0)[-1:])
    assert (probed.standing(), probed.wanted(), probed.step) == (Standing.GIVEN_UP, [], Step.GIVE_UP)
    assert list(probed.state.given_up()) == keys(0)[2:-1]


def test_a_late_failure_of_another_episode_is_not_the_probes(probed: Cycle) -> None:
    probed.forfeit(keys(0)[2:3])
    assert (probed.standing(), probed.wanted()) == (Standing.PROBED, keys(0)[-1:])


def test_an_abandoned_probe_is_replaced(probed: Cycle) -> None:
    probed.abandon(keys(0)[-1:])
    assert (probed.standing(), probed.wanted()) == (Standing.PROBED, keys(0)[-2:-1])


def test_an_attempt_of_ours_that_failed_leaves_the_probe(probed: Cycle) -> None:
    probed.add(facts.attempt_failed(keys(0)[-1]))
    assert probed.wanted() == keys(0)[-1:]


def test_a_second_row_after_the_probe_is_the_end(probed: Cycle) -> None:
    probed.complete(keys(0)[-1:])
    probed.forfeit(keys(0)[2:4])
    assert (probed.standing(), probed.step) == (Standing.GIVEN_UP, Step.GIVE_UP)


def test_given_up_is_final(probed: Cycle) -> None:
    probed.forfeit(keys(0)[-1:])
    probed.complete(keys(0)[2:3])
    assert (probed.standing(), list(probed.state.given_up())) == (Standing.GIVEN_UP, keys(0)[3:-1])


def test_what_is_given_up_is_given_up_after_the_deadline_too(probed: Cycle) -> None:
    probed.forfeit(keys(0)[-1:])
    deadline = probed.state.deadline
    assert deadline is not None
    assert next_step(probed.state, deadline) is Step.GIVE_UP


def test_a_miner_set_aside_is_abandoned_at_the_deadline(probed: Cycle) -> None:
    deadline = probed.state.deadline
    assert deadline is not None
    assert next_step(probed.state, deadline) is Step.ABANDON


def test_a_given_up_episode_says_why(probed: Cycle) -> None:
    probed.add(facts.attempt_failed(keys(0)[2]), facts.forfeited(keys(0)[-1], code=ForfeitCode.UNREACHABLE))
    probed.forfeit(keys(0)[3:4])
    event = given_up(keys(0)[2], probed.state)
    assert (event.code, event.attempt, event.steps, event.evidence) == (ForfeitCode.GIVEN_UP, 2, 0, None)
    assert event.detail == (
        "not run: forfeit 3 in a row (after 2 a miner is set aside until one last episode) was metaworld/push-v3 3,"
        " unreachable: POST /act took longer than 100 ms at step 12; answer within the deadline"
    )


def test_a_long_reason_is_shortened(probed: Cycle) -> None:
    probed.add(facts.forfeited(keys(0)[-1]).model_copy(update={"detail": "x" * 500}))
    assert given_up(keys(0)[2], probed.state).detail.endswith("xx…")


# Whatever the order.

MINERS = 4
RUNNING_MAX = 3


def play(data: st.DataObject, cycle: Cycle) -> dict[EpisodeKey, int]:
    """Runs a cycle as conductor and workers do, in an order that `data` decides; how often each episode was run.

    Miner 0 fails always and miner 1 never. What is withdrawn from the queue while it runs is run to its end.
    """
    runs: dict[EpisodeKey, int] = {}
    running: list[EpisodeKey] = []
    while cycle.step is not Step.SEAL:
        if cycle.step is Step.GIVE_UP:
            cycle.add(given_up(next(cycle.state.given_up()), cycle.state))
            running = [key for key in running if key in set(cycle.state.missing())]
            continue
        queue = [key for uid in range(MINERS) for key in cycle.wanted(uid) if key not in running]
        if queue and (not running or (len(running) < RUNNING_MAX and data.draw(st.booleans()))):
            running.append(data.draw(st.sampled_from(queue)))
            runs[running[-1]] = runs.get(running[-1], 0) + 1
        else:
            cycle.add(_end(data, running.pop(data.draw(st.integers(0, len(running) - 1)))))
    return runs


def _end(data: st.DataObject, key: EpisodeKey) -> Event:
    if key.uid == 0:
        return facts.forfeited(key)
    if key.uid == 1:
        return facts.completed(key)
    endings: list[Event] = [facts.completed(key), facts.forfeited(key), facts.forfeited(key), facts.abandoned(key)]
    return data.draw(st.sampled_from(endings))


@given(st.data())
def test_every_cycle_ends_with_one_outcome_for_each_episode(data: st.DataObject) -> None:
    cycle = Cycle(miners=MINERS)
    play(data, cycle)
    ended = [event.key for event in cycle.events[2:]]  # type: ignore[attr-defined]
    assert sorted(ended) == sorted(key for uid in range(MINERS) for key in keys(uid))


@given(st.data())
def test_a_dead_policy_is_called_no_more_than_that(data: st.DataObject) -> None:
    runs = play(data, Cycle(miners=MINERS))
    assert sum(runs[key] for key in runs if key.uid == 0) <= LIMIT + (RUNNING_MAX - 1) + 1


@given(st.data())
def test_a_good_policy_notices_nothing_of_the_others(data: st.DataObject) -> None:
    runs = play(data, Cycle(miners=MINERS))
    assert [runs[key] for key in keys(1)] == [1] * len(keys(1))


@given(st.data())
def test_a_fold_of_any_part_of_the_log_decides_what_was_decided_then(data: st.DataObject) -> None:
    cycle = Cycle(miners=MINERS)
    play(data, cycle)
    again = Cycle(miners=MINERS)
    again.add(*cycle.events[2 : data.draw(st.integers(2, len(cycle.events)))])
    assert again.decisions == cycle.decisions[: len(again.decisions)]
