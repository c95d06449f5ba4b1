"""A policy in a sandbox, asked as an endpoint is asked.

CodeFailed       the code's own part; `passing` where it may have been a machine that stood still
SandboxBroken    ours
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from consumers.verification.budget import Pace, later_allowance_s
from consumers.verification.limits import code_allowance_s
from consumers.verification.measure import Actions
from consumers.verification.probes import Probed, acts, flattened
from consumers.verification.sandbox.protocol import (
    Answered,
    Clock,
    Crashed,
    Ending,
    Malformed,
    OutOfMemory,
    Question,
    Raised,
    SandboxFailed,
    Session,
    TimedOut,
    TooLarge,
)
from sim.encodings import Encoding, WireError
from sim.policy import TaskConfig
from sim.rl_interface import Observation, decode_action, encode_act_request
from sim.spec import ActionSpec


class CodeFailed(Exception):
    """The committed code is no policy, or broke off, or took more than it may."""

    def __init__(self, detail: str, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.passing = passing


class SandboxBroken(Exception):
    """It could not be run; says nothing about the code."""


class CommittedCode:
    """A policy in a sandbox."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._spent_s = 0.0
        self._times_s: dict[Question, list[float]] = {Question.RESET: [], Question.ACT: []}
        self._allowance_s, self._ends_s = 0.0, 0.0
        self.seeded = False
        """Whether it has stated that it is seeded by the episode."""

    @property
    def pace(self) -> Pace:
        """So far."""
        act_s, reset_s = (
            sum(times_s) / max(len(times_s), 1)
            for times_s in (self._times_s[Question.ACT], self._times_s[Question.RESET])
        )
        return Pace(act_s, reset_s)

    async def first_run(self, probes: Sequence[Probed]) -> list[Actions]:
        """The action at the end of each probe, each from a reset on.

        Raises:
            CodeFailed, SandboxBroken
        """
        self._allow(code_allowance_s(acts(probes)))
        return await self._run(probes)

    async def later_runs(self, probes: Sequence[Probed], runs: int) -> list[list[Actions]]:
        """The same so many times again, with a multiple of the time that it took so far.

        Raises:
            CodeFailed, SandboxBroken
        """
        self.allow_later(acts(probes), len(probes), runs)
        return [await self._run(probes) for _ in range(runs)]

    def allow_later(self, acts: int, resets: int, runs: int = 1) -> None:
        """So many actions are asked for next, and have their time together."""
        self._allow(later_allowance_s(self.pace, acts, resets, runs))

    def _allow(self, seconds: float) -> None:
        self._allowance_s = seconds
        self._ends_s = self._spent_s + seconds

    async def _run(self, probes: Sequence[Probed]) -> list[Actions]:
        return [await self.action(probe.task, probe.observations, probe.action_spec) for probe in probes]

    async def action(self, task: TaskConfig, observations: Sequence[Observation], spec: ActionSpec) -> Actions:
        """The action that follows the last observation, from the reset on.

        Raises:
            CodeFailed, SandboxBroken
        """
        about = f"{task.env} #{task.index}"
        reset = Encoding.JSON.dumps({"task_config": task.json()})
        self.seeded |= _states_seeded(await self._answer(Question.RESET, reset, f"at the reset of {about}"))
        answer = b""
        for step, observation in enumerate(observations):
            answer = await self._answer(Question.ACT, encode_act_request(observation), f"at step {step} of {about}")
        try:
            return flattened(decode_action(answer, spec), spec)
        except WireError as error:
            raise CodeFailed(f"the committed code gave no valid action at step {step} of {about}: {error}") from error

    async def _answer(self, question: Question, body: bytes, when: str) -> bytes:
        outcome = await self._session.ask(question, body)
        if not isinstance(outcome, Answered):
            raise failure(outcome, when)
        self._spent_s += outcome.elapsed_s
        self._times_s[question].append(outcome.elapsed_s)
        if self._spent_s > self._ends_s:
            raise failure(TimedOut(Clock.TOTAL, self._allowance_s), when)
        return outcome.body


def _states_seeded(answer: bytes) -> bool:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("seeded") is True


def failure(outcome: Raised | Ending, when: str) -> CodeFailed | SandboxBroken:
    """What came instead of an answer, with the limit that was exceeded."""
    if isinstance(outcome, SandboxFailed):
        return SandboxBroken(f"{outcome.reason} ({when})")
    passing = isinstance(outcome, TimedOut) and outcome.clock is not Clock.CPU
    return CodeFailed(f"the committed code {_described(outcome)}, {when}", passing=passing)


def _described(outcome: Raised | Crashed | TimedOut | OutOfMemory | TooLarge | Malformed) -> str:
    match outcome:
        case Raised(error):
            return f"raised {error}"
        case Crashed(exit_code, number, stderr_tail):
            how = f"with status {exit_code}" if exit_code is not None else f"by signal {number}"
            said = stderr_tail.strip()[-200:]
            return f"ended {how}" + (f" ({said})" if said else "")
        case TimedOut(Clock.START, limit_s):
            return f"was not ready within {limit_s:g} s"
        case TimedOut(Clock.ANSWER, limit_s):
            return f"gave no answer within {limit_s:g} s"
        case TimedOut(Clock.CPU, limit_s):
            return f"used more than {limit_s:g} s of processor time"
        case TimedOut(_, limit_s):
            return f"took longer than {limit_s:.4g} s for its answers together"
        case OutOfMemory(limit_bytes):
            return f"used more than {limit_bytes} bytes of memory"
        case TooLarge(limit_bytes, announced_bytes):
            return f"gave an answer of {announced_bytes} bytes, allowed are {limit_bytes}"
        case Malformed(reason):
            return f"gave something that is no answer: {reason}"
