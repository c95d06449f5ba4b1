"""Who is checked, for how long, and with what: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from events.codec import decode, draft
from events.cycles import CyclePlanned
from events.draws import PROBES_PER_SAMPLE, Candidate, Recording, drawn, probes, to_be_checked
from events.envelope import begin
from events.event import Event
from events.ids import Uid
from events.log import Stored
from events.memory import MemoryLog
from events.rules import ScoringRules
from events.seeds import SeedMaterial
from events.verification import VerificationTerms
from producers.cycles.checking import CheckTasks
from producers.cycles.recordings import read_recordings
from producers.cycles.state import CycleState, Step, next_step
from producers.cycles.tasks import endpoints
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_of
from tests.producers.driving import append

UIDS = tuple(range(40))
MATERIAL = SeedMaterial(facts.SECRET, bytes.fromhex(facts.seeded().block_hash), facts.planned().cycle)
END = facts.MOMENT + timedelta(seconds=900)


def plan_with(terms: VerificationTerms | None, uids: tuple[int, ...] = UIDS) -> CyclePlanned:
    return facts.planned(uids=uids, episodes=1, verification=terms)


def folded(*events: Event, secret: bytes | None = facts.SECRET) -> CycleState:
    state = CycleState(facts.planned().cycle, secret)
    for sequence, event in enumerate(events, start=1):
        it = draft(begin(event, source="/t", time=facts.MOMENT))
        state.apply(Stored(sequence, it.subject, it.body))
    return state


def complete(terms: VerificationTerms | None, *, uids: tuple[int, ...] = (0, 1)) -> tuple[Event, ...]:
    plan = plan_with(terms, uids)
    return (plan, facts.seeded(), *outcomes_of(plan))


def uids_of(candidates: Iterable[Candidate]) -> list[int]:
    return [each.uid for each in candidates]


def test_the_drawn_are_checked() -> None:
    plan = plan_with(facts.verification_terms(rate="0.5"))
    candidates = [Candidate(entry.uid, entry.hotkey) for entry in plan.roster]
    expected = drawn(MATERIAL, candidates, facts.verification_terms(rate="0.5").rate)
    assert 0 < len(expected) < len(UIDS)
    assert to_be_checked(plan, MATERIAL) == expected


def test_the_suspended_are_checked_always() -> None:
    plan = plan_with(facts.verification_terms(rate="0", suspended={3: 7, 30: 1}))
    assert uids_of(to_be_checked(plan, MATERIAL)) == [3, 30]


def test_without_terms_nobody_is_checked() -> None:
    assert to_be_checked(plan_with(None), MATERIAL) == ()


def test_checks_come_after_all_episodes() -> None:
    *but_last, last = complete(facts.verification_terms(rate="1"))
    state = folded(*but_last)
    assert (next_step(state, facts.MOMENT), state.checks.drawn) == (Step.RUN, ())
    state = folded(*but_last, last)
    assert (next_step(state, facts.MOMENT), uids_of(state.checks.missing())) == (Step.VERIFY, [0, 1])


def test_checks_come_before_the_slots() -> None:
    plan, *rest = complete(facts.verification_terms(rate="1"))
    on_chain = plan.model_copy(update={"chain": facts.chain_terms()})
    assert next_step(folded(on_chain, *rest), facts.MOMENT) is Step.VERIFY
    checked = [facts.verification_passed(uid=uid) for uid in (0, 1)]
    assert next_step(folded(on_chain, *rest, *checked), facts.MOMENT) is Step.CHECK_SLOTS


def test_checks_end_so_long_after_the_last_outcome_in_the_log() -> None:
    state = folded(*complete(facts.verification_terms(rate="1")))
    assert next_step(state, END - timedelta(seconds=1)) is Step.VERIFY
    assert next_step(state, END) is Step.CALL_OFF


def test_a_cycle_with_all_its_checks_is_sealed_whatever_the_time() -> None:
    checked = [facts.verification_failed(uid=0), facts.verification_inconclusive(uid=1)]
    state = folded(*complete(facts.verification_terms(rate="1")), *checked)
    assert next_step(state, facts.MOMENT) is next_step(state, END) is Step.SEAL


@pytest.mark.parametrize("terms", [None, facts.verification_terms(rate="0")])
def test_where_nobody_is_checked_the_cycle_is_sealed_at_once(terms: VerificationTerms | None) -> None:
    assert next_step(folded(*complete(terms)), facts.MOMENT) is Step.SEAL


def test_a_cycle_that_is_to_be_abandoned_checks_nobody() -> None:
    plan, seeded, *_ = complete(facts.verification_terms(rate="1", suspended={0: 3}))
    assert isinstance(plan, CyclePlanned)
    lost = [facts.abandoned(it.key) for it in outcomes_of(plan)]
    state = folded(plan, seeded, *lost)
    assert (next_step(state, facts.MOMENT), state.checks.missing()) == (Step.SEAL, ())


def test_a_cycle_without_seed_checks_nobody() -> None:
    plan = plan_with(facts.verification_terms(rate="1"), (0, 1)).model_copy(
        update={"rules": ScoringRules.model_validate({"coverage_min": "0"})}
    )
    state = folded(plan, *(facts.abandoned(it.key) for it in outcomes_of(plan)))
    assert next_step(state, facts.MOMENT) is Step.SEAL


def test_without_a_completed_episode_there_is_nothing_to_wait_for() -> None:
    plan, seeded, *_ = complete(facts.verification_terms(rate="1"))
    assert isinstance(plan, CyclePlanned)
    forfeited = [facts.forfeited(it.key) for it in outcomes_of(plan)]
    assert next_step(folded(plan, seeded, *forfeited), facts.MOMENT) is Step.CALL_OFF


def test_an_episode_that_ended_before_its_first_step_was_not_recorded() -> None:
    plan, seeded, *_ = complete(facts.verification_terms(rate="1"))
    assert isinstance(plan, CyclePlanned)
    empty = [facts.completed(it.key).model_copy(update={"steps": 0}) for it in outcomes_of(plan)]
    assert not folded(plan, seeded, *empty).checks.recorded


async def test_the_probes_of_a_task_are_those_that_everybody_can_derive() -> None:
    log, terms = MemoryLog(), facts.verification_terms(rate="1")
    events = complete(terms, uids=(0, 1, 2))
    await append(log, *events)
    plan, seeded = (decode(it) for it in [stored async for batch in log.read() for stored in batch][:2])
    assert isinstance(plan.event, CyclePlanned)
    recordings = await read_recordings(log, plan.event)
    outcomes = {(it.env, it.index, it.uid): it for it in outcomes_of(plan.event)}
    assert {(it.env, it.index, it.uid): it.steps for it in recordings} == {
        key: facts.completed(it.key, success=it.uid == 0).steps for key, it in outcomes.items()
    }
    tasks = CheckTasks(plan, seeded, MATERIAL, endpoints(plan.event, None))  # type: ignore[arg-type]
    candidate = Candidate(Uid(1), facts.hotkey(1))
    task = tasks.task(candidate, tasks.probes(candidate, recordings), 12.5)
    expected = probes(MATERIAL, candidate, recordings, PROBES_PER_SAMPLE * terms.samples)
    assert [(Recording(it.env, it.index, it.uid, _steps(it.uid)), it.step) for it in task.probes] == [
        (it.recording, it.step) for it in expected
    ]
    for probe in task.probes:
        key = facts.key(1, probe.uid, probe.env, probe.index)
        assert probe.action_digest == facts.evidence(key).action_digest
        assert probe.seed == MATERIAL.seed(probe.env, probe.index)
        assert probe.attempt == 1
    assert (task.endpoint, task.repo, task.revision) == ("http://127.0.0.1:9001", "user/policy-1", "0123abcd")
    assert set(task.witnesses) == {"http://127.0.0.1:9000", "http://127.0.0.1:9002"}
    assert (task.samples, task.tolerance, task.within_s) == (terms.samples, terms.tolerance, 12.5)
    assert (task.cause, task.correlation) == (seeded.id, plan.envelope.correlation)


def _steps(uid: int) -> int:
    return facts.completed(success=uid == 0).steps


async def test_only_planned_episodes_that_were_completed_are_recordings() -> None:
    log, plan = MemoryLog(), plan_with(facts.verification_terms(), (0, 1))
    kept = facts.completed(facts.key(1, 1, facts.PUSH, 0), attempt=2)
    others = [
        facts.forfeited(facts.key(1, 0, facts.PUSH, 0)),
        facts.completed(facts.key(1, 0, facts.REACH, 0)).model_copy(update={"steps": 0}),
        facts.completed(facts.key(1, 0, facts.REACH, 99)),
        facts.completed(facts.key(1, 77, facts.REACH, 0)),
        facts.completed(facts.key(2, 0, facts.REACH, 0)),
    ]
    await append(log, plan, kept, *others)
    ((recording, attempt),) = (await read_recordings(log, plan)).items()
    assert recording == Recording(facts.PUSH, 0, Uid(1), kept.steps)
    assert (attempt.number, attempt.action_digest.hex()) == (2, kept.evidence.action_digest)
