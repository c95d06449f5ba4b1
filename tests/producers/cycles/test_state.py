"""The fold of a cycle, and the step that follows from it."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.codec import draft
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.log import Stored
from events.merkle import MerkleTree
from producers.cycles.state import CycleState, Outcome, Step, next_step
from tests.controls import facts

PLAN_TIME = facts.MOMENT
LATE = PLAN_TIME + timedelta(seconds=3600)


def stored(*events: Event) -> list[Stored]:
    drafts = [draft(begin(event, source="/t", time=PLAN_TIME)) for event in events]
    return [Stored(number * 3, it.subject, it.body) for number, it in enumerate(drafts, start=1)]


def folded(*events: Event) -> CycleState:
    state = CycleState(CycleId(1))
    for it in stored(*events):
        state.apply(it)
    return state


OUTCOMES = facts.whole_cycle()[2:-2]


def test_nothing_is_to_be_planned() -> None:
    assert next_step(folded(), PLAN_TIME) is Step.PLAN


def test_a_plan_is_to_be_seeded() -> None:
    assert next_step(folded(facts.planned()), PLAN_TIME) is Step.SEED


def test_a_seeded_plan_is_to_be_run() -> None:
    assert next_step(folded(facts.planned(), facts.seeded()), PLAN_TIME) is Step.RUN


def test_at_the_deadline_the_rest_is_to_be_abandoned() -> None:
    state = folded(facts.planned(), facts.seeded())
    assert next_step(state, LATE - timedelta(microseconds=1)) is Step.RUN
    assert next_step(state, LATE) is Step.ABANDON


def test_a_plan_without_seed_is_abandoned_at_the_deadline_too() -> None:
    assert next_step(folded(facts.planned()), LATE) is Step.ABANDON


def test_a_complete_cycle_is_to_be_sealed_however_late() -> None:
    assert next_step(folded(facts.planned(), facts.seeded(), *OUTCOMES), LATE) is Step.SEAL


def test_a_sealed_cycle_has_ended() -> None:
    assert next_step(folded(facts.planned(), facts.seeded(), *OUTCOMES, facts.sealed()), LATE) is Step.ENDED


def test_an_abandoned_cycle_has_ended() -> None:
    assert next_step(folded(facts.planned(), facts.cycle_abandoned(1)), PLAN_TIME) is Step.ENDED


def test_every_outcome_is_counted_as_what_it_is() -> None:
    keys = [facts.key(index=0), facts.key(index=1), facts.key(env=facts.PUSH)]
    events = facts.completed(keys[0]), facts.forfeited(keys[1]), facts.abandoned(keys[2])
    state = folded(facts.planned(), facts.seeded(), *events)
    assert [state.outcome(key) for key in keys] == [Outcome.COMPLETED, Outcome.FORFEITED, Outcome.ABANDONED]
    assert state.counts.model_dump() == {"completed": 1, "forfeited": 1, "abandoned": 1}
    assert (state.done, state.planned) == (3, 8)


@given(st.sets(st.sampled_from(range(8))))
def test_missing_is_what_has_no_outcome(done: set[int]) -> None:
    state = folded(facts.planned(), facts.seeded(), *(OUTCOMES[number] for number in sorted(done)))
    keys = {event.key for number, event in enumerate(OUTCOMES) if number not in done}  # type: ignore[attr-defined]
    assert set(state.missing()) == keys


def test_failed_attempts_are_no_outcome_and_are_counted() -> None:
    state = folded(facts.planned(), facts.attempt_failed(attempt=1), facts.attempt_failed(attempt=2))
    assert (state.failed_attempts(facts.key()), state.done) == (2, 0)


@given(st.lists(st.integers(0, 11), max_size=30))
def test_events_seen_again_change_nothing(again: list[int]) -> None:
    events = stored(*facts.whole_cycle()[:-2])
    state, repeated = CycleState(CycleId(1)), CycleState(CycleId(1))
    for position, it in enumerate(events):
        state.apply(it)
        repeated.apply(it)
        for number in again:
            if number <= position:
                repeated.apply(events[number])
    assert vars(repeated) | {"tree": repeated.tree.root()} == vars(state) | {"tree": state.tree.root()}


def test_outcomes_that_nobody_planned_count_for_nothing_but_are_in_the_tree() -> None:
    strange = facts.completed(facts.key(uid=9)), facts.completed(facts.key(index=2))
    state = folded(facts.planned(), facts.seeded(), *strange)
    assert (state.done, state.unplanned, state.tree.size) == (0, 2, 4)


def test_outcomes_take_no_memory() -> None:
    plan = facts.planned(episodes=500)
    keys = [facts.key(1, uid, env, index) for uid in (0, 1) for env in plan.environments for index in range(500)]
    events = stored(plan, facts.seeded(), *map(facts.completed, keys))
    state = CycleState(CycleId(1))
    for it in events[:100]:
        state.apply(it)
    tracemalloc.start()
    for it in events[100:]:
        state.apply(it)
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.complete
    assert grown < 16 * 1024


def test_the_tree_covers_all_but_the_end() -> None:
    events = stored(facts.planned(), facts.seeded(), *OUTCOMES, facts.sealed(), facts.attempt_failed())
    state, tree = CycleState(CycleId(1)), MerkleTree()
    for it in events:
        state.apply(it)
    for it in events[:-2]:
        tree.add(it.body)
    assert (state.tree.root(), state.tree.size) == (tree.root(), 10)


def test_what_comes_after_the_end_is_not_folded() -> None:
    events = facts.planned(), facts.seeded(), facts.cycle_abandoned(1), facts.completed()
    assert folded(*events).last_sequence == 9
