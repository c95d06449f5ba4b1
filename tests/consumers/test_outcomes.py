"""What the end of an attempt means."""

from __future__ import annotations

import hashlib
import random

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.simulation.outcomes import (
    EpisodeOverdue,
    MalformedTask,
    abandoned,
    attempt_failed,
    attempt_lost,
    attempt_was_lost,
    outcome_of,
    parse_task,
    wall_clock_max_s,
)
from consumers.work import retry_delay_s
from events.episodes import ActLatency, EpisodeCompleted, EpisodeForfeited, Evidence, FailureCode, ForfeitCode
from sim.episode import EpisodeForfeit, EpisodeResult, LatencySummary
from sim.errors import SimulationFailed, UnknownEnvironment
from sim.policy import Doubt, PolicyFailure
from sim.trace import PhysicsOutcome
from sim.versions import machine, versions
from tests.controls import facts
from tests.controls.tasks import task

PHYSICS = PhysicsOutcome(
    success=True,
    total_reward=12.5,
    steps=40,
    terminated=True,
    truncated=False,
    variation={"rand_vec_0": 0.25},
    action_digest="a" * 64,
    final_state_digest="b" * 64,
)
LATENCY = LatencySummary(count=40, p50_ms=1.5, max_ms=9.0)
RESULT = EpisodeResult(physics=PHYSICS, act_latency=LATENCY, wall_s=0.75, trace=b"")


def forfeit(code: PolicyFailure, doubt: Doubt = Doubt.NONE) -> EpisodeForfeit:
    return EpisodeForfeit(
        code=code, detail="what to do", doubt=doubt, physics=PHYSICS, act_latency=LATENCY, wall_s=0.75, trace=b""
    )


def test_every_policy_failure_has_its_forfeit_code_and_every_code_its_failure() -> None:
    assert {failure.value for failure in PolicyFailure} == {code.value for code in ForfeitCode} - {
        ForfeitCode.GIVEN_UP  # an episode that was not run
    }


def test_an_episode_that_ran_is_completed_with_all_that_happened() -> None:
    it = task()
    event = outcome_of(it, RESULT, attempt=2, worker="worker-1")
    assert event == EpisodeCompleted(
        cycle=it.cycle,
        uid=it.uid,
        hotkey=it.hotkey,
        env=it.env,
        index=it.index,
        attempt=2,
        success=True,
        total_reward=12.5,
        steps=40,
        terminated=True,
        truncated=False,
        evidence=Evidence(
            action_digest="a" * 64,
            final_state_digest="b" * 64,
            variation_digest=hashlib.sha256(b'{"rand_vec_0":0.25}').hexdigest(),
            versions=versions(),
            machine=machine(),
        ),
        latency=ActLatency(calls=40, p50_ms=1.5, max_ms=9.0),
        duration_s=0.75,
        worker="worker-1",
    )


@pytest.mark.parametrize("code", PolicyFailure)
def test_a_failing_policy_forfeits_under_its_own_code(code: PolicyFailure) -> None:
    event = outcome_of(task(), forfeit(code), attempt=1, worker="worker-1")
    assert isinstance(event, EpisodeForfeited)
    assert event.code.value == code.value
    assert event.detail == "what to do"
    assert event.steps == 40


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SimulationFailed("the arm fell off"), FailureCode.SIMULATOR_ERROR),
        (UnknownEnvironment("no such task"), FailureCode.SIMULATOR_ERROR),
        (EpisodeOverdue("too long"), FailureCode.SIMULATOR_ERROR),
        (KeyError("a bug"), FailureCode.INTERNAL_ERROR),
    ],
)
def test_an_error_of_ours_is_a_failed_attempt(error: Exception, code: FailureCode) -> None:
    event = attempt_failed(task(), error, attempt=3, worker="worker-1")
    assert (event.code, event.attempt) == (code, 3)
    assert type(error).__name__ in event.detail


def test_any_text_of_an_error_can_be_recorded() -> None:
    event = attempt_failed(task(), SimulationFailed("\x00\ud800" + "x" * 10_000), attempt=1, worker="worker-1")
    assert len(event.detail) <= 500
    assert "\x00" not in event.detail


def test_an_error_of_ours_does_not_name_the_endpoint() -> None:
    deployment = "95edf2b6-e18b-400a-8398-5573df10e5e4"
    sealed = task().model_copy(update={"endpoint": f"https://{deployment}.deployments.basilica.ai"})
    told = RuntimeError(f"{sealed.endpoint}/act: no answer from {deployment.upper()}")
    event = attempt_failed(sealed, told, attempt=1, worker="worker-1")
    assert event.detail == "RuntimeError: .../act: no answer from ..."


def test_a_lost_attempt_is_recorded_by_whoever_notices() -> None:
    event = attempt_lost(task(), attempt=1, worker="worker-2")
    assert (event.code, event.attempt, event.worker) == (FailureCode.WORKER_LOST, 1, "worker-2")


def test_an_abandoned_episode_says_how_often_it_was_tried() -> None:
    event = abandoned(task(), [FailureCode.WORKER_LOST, FailureCode.HANDED_BACK] * 2 + [FailureCode.OUR_NETWORK])
    assert event.attempts == 5
    assert event.detail.startswith("3 attempts failed, 3 are allowed")


@pytest.mark.parametrize(
    ("delivery", "failed", "lost"), [(1, 0, False), (2, 0, True), (2, 1, False), (3, 1, True), (1, 2, False)]
)
def test_a_delivery_without_a_recorded_end_is_a_lost_attempt(delivery: int, failed: int, lost: bool) -> None:
    assert attempt_was_lost(delivery, failed) is lost


def test_a_task_survives_the_queue() -> None:
    assert parse_task(task().model_dump_json().encode()) == task()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"{}",
        orjson.dumps({**orjson.loads(task().model_dump_json()), "surprise": 1}),
        orjson.dumps({**orjson.loads(task().model_dump_json()), "env": "no family"}),
        orjson.dumps({**orjson.loads(task().model_dump_json()), "seed": -1}),
    ],
)
def test_what_is_no_task_is_named_as_such(body: bytes) -> None:
    with pytest.raises(MalformedTask, match="not an episode task"):
        parse_task(body)


def test_the_clock_allows_every_call_its_deadline() -> None:
    terms = facts.TERMS
    calls_s = terms.reset_deadline_ms / 1000 + terms.steps_max * terms.act_deadline_ms / 1000
    assert wall_clock_max_s(terms, setup_allowance_s=0) > calls_s


@given(st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_delays_grow_and_stay_within_bounds(failed: int, rng: random.Random) -> None:
    assert 0.5 <= retry_delay_s(failed, rng) <= 90
