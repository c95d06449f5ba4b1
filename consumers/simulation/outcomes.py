"""What the end of an attempt means: pure decisions, from what happened to the event that says so."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from events.cycles import EpisodeTerms
from events.episodes import (
    AbandonCode,
    ActLatency,
    EpisodeAbandoned,
    EpisodeAttemptFailed,
    EpisodeCompleted,
    EpisodeForfeited,
    Evidence,
    FailureCode,
    ForfeitCode,
)
from events.tasks import EpisodeTask, trouble
from events.variation import variation_digest
from sim.episode import EpisodeForfeit, EpisodeResult, LatencySummary
from sim.errors import SimError
from sim.http.failures import concealed
from sim.policy import printable
from sim.trace import PhysicsOutcome
from sim.versions import machine, versions

STEP_ALLOWANCE_S = 0.5
"""How long one of our own steps may take, in a process with many episodes in flight."""
SETUP_ALLOWANCE_S = 60.0
"""How long we may take to build an environment, to reset it and to let go of it."""


class MalformedTask(ValueError):
    """These bytes are no episode task; no worker will ever be able to run them."""


class EpisodeOverdue(Exception):
    """An attempt took longer than its policy's deadlines and our own allowances together."""


def parse_task(body: bytes) -> EpisodeTask:
    """The task in a message of the work queue.

    Raises:
        MalformedTask: with what is wrong about it.
    """
    try:
        task = EpisodeTask.model_validate_json(body)
        task.key.id  # noqa: B018  # an environment id that names no subject is refused here
    except ValueError as error:
        said = printable(trouble(error) if isinstance(error, ValidationError) else str(error))
        raise MalformedTask(f"not an episode task, was it queued by another version? {said}") from error
    return task


def attempt_was_lost(delivery: int, failed: int) -> bool:
    """Whether an earlier delivery of a task ended without a word.

    `delivery` counts from 1; `failed` is the number of attempts whose failure is recorded. The server forgets its
    count when it crashes: then an attempt is not counted, and the episode is tried once more than it had to be.
    """
    return delivery > failed + 1


def outcome_of(
    task: EpisodeTask, ending: EpisodeResult | EpisodeForfeit, *, attempt: int, worker: str
) -> EpisodeCompleted | EpisodeForfeited:
    """The outcome of an episode that ran to its end, or to the policy's failure.

    Raises:
        ValidationError: the simulator gave numbers that no event can hold, such as NaN.
    """
    match ending:
        case EpisodeResult():
            return completed(task, ending, attempt=attempt, worker=worker)
        case EpisodeForfeit():
            return forfeited(task, ending, attempt=attempt, worker=worker)


def completed(task: EpisodeTask, result: EpisodeResult, *, attempt: int, worker: str) -> EpisodeCompleted:
    physics = result.physics
    return EpisodeCompleted(
        cycle=task.cycle,
        uid=task.uid,
        hotkey=task.hotkey,
        env=task.env,
        index=task.index,
        attempt=attempt,
        success=physics.success,
        total_reward=physics.total_reward,
        steps=physics.steps,
        terminated=physics.terminated,
        truncated=physics.truncated,
        evidence=evidence_of(physics),
        latency=_latency(result.act_latency),
        duration_s=round(result.wall_s, 3),
        worker=worker,
    )


def forfeited(task: EpisodeTask, forfeit: EpisodeForfeit, *, attempt: int, worker: str) -> EpisodeForfeited:
    return EpisodeForfeited(
        cycle=task.cycle,
        uid=task.uid,
        hotkey=task.hotkey,
        env=task.env,
        index=task.index,
        attempt=attempt,
        code=ForfeitCode(forfeit.code.value),
        detail=forfeit.detail,
        steps=forfeit.physics.steps,
        evidence=evidence_of(forfeit.physics),
        latency=_latency(forfeit.act_latency),
        duration_s=round(forfeit.wall_s, 3),
        worker=worker,
    )


def evidence_of(physics: PhysicsOutcome) -> Evidence:
    """What happened in this process, as an outsider can check it."""
    return Evidence(
        action_digest=physics.action_digest,
        final_state_digest=physics.final_state_digest,
        variation_digest=variation_digest(physics.variation),
        versions=versions(),
        machine=machine(),
    )


def attempt_failed(task: EpisodeTask, error: Exception, *, attempt: int, worker: str) -> EpisodeAttemptFailed:
    """How an exception of ours is recorded. A policy's failure is none: `run_episode` returns it.

    Libraries like to name the endpoint in theirs, which may be secret.
    """
    ours = FailureCode.SIMULATOR_ERROR if isinstance(error, SimError | EpisodeOverdue) else FailureCode.INTERNAL_ERROR
    detail = concealed(f"{type(error).__name__}: {error}", task.endpoint)
    return _failure(task, ours, detail, attempt=attempt, worker=worker)


def our_network(task: EpisodeTask, detail: str, *, attempt: int, worker: str) -> EpisodeAttemptFailed:
    """An attempt in which the policy was not heard, for which our own network may be the reason."""
    return _failure(task, FailureCode.OUR_NETWORK, detail, attempt=attempt, worker=worker)


def attempt_lost(task: EpisodeTask, *, attempt: int, worker: str) -> EpisodeAttemptFailed:
    """What `worker` records about an attempt of which nothing was heard again."""
    detail = f"attempt {attempt} ended without a word: its worker died, was stopped or stalled past its lease"
    return _failure(task, FailureCode.WORKER_LOST, detail, attempt=attempt, worker=worker)


def handed_back(task: EpisodeTask, *, attempt: int, worker: str) -> EpisodeAttemptFailed:
    """An attempt that `worker` had to leave off because it is stopping."""
    detail = f"attempt {attempt} was not over when its worker, told to stop, had to end: another begins it again"
    return _failure(task, FailureCode.HANDED_BACK, detail, attempt=attempt, worker=worker)


def failures(attempts: Sequence[FailureCode]) -> int:
    """How many of them count."""
    return sum(code.counts for code in attempts)


def abandoned(task: EpisodeTask, attempts: Sequence[FailureCode]) -> EpisodeAbandoned:
    return EpisodeAbandoned(
        cycle=task.cycle,
        uid=task.uid,
        hotkey=task.hotkey,
        env=task.env,
        index=task.index,
        attempts=len(attempts),
        code=AbandonCode.ATTEMPTS_EXHAUSTED,
        detail=f"{failures(attempts)} attempts failed, {task.terms.attempts_max} are allowed; their events say why",
    )


def wall_clock_max_s(terms: EpisodeTerms, *, setup_allowance_s: float = SETUP_ALLOWANCE_S) -> float:
    """Seconds an attempt takes if every policy call uses up its deadline, and every step of ours its allowance."""
    step_s = terms.act_deadline_ms / 1000 + STEP_ALLOWANCE_S
    return terms.reset_deadline_ms / 1000 + terms.steps_max * step_s + setup_allowance_s


def _failure(task: EpisodeTask, code: FailureCode, detail: str, *, attempt: int, worker: str) -> EpisodeAttemptFailed:
    return EpisodeAttemptFailed(
        cycle=task.cycle,
        uid=task.uid,
        hotkey=task.hotkey,
        env=task.env,
        index=task.index,
        attempt=attempt,
        code=code,
        detail=printable(detail),
        worker=worker,
    )


def _latency(summary: LatencySummary) -> ActLatency:
    return ActLatency(calls=summary.count, p50_ms=summary.p50_ms, max_ms=summary.max_ms)
