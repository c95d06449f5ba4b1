"""What the committed code does, asked in a sandbox as an endpoint is asked.

CodeFailed       the code's own part; `passing` where it may have been a machine that stood still
SandboxBroken    ours
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.verification.comparison import Actions, is_deterministic
from consumers.verification.limits import (
    REPEATS_BY_DISTRIBUTION,
    REPEATS_BY_VALUE,
    acts_by_distribution,
    code_allowance_s,
    sandbox_limits,
)
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
    Sandbox,
    SandboxFailed,
    Session,
    TimedOut,
    TooLarge,
    UnreadablePolicy,
)
from consumers.verification.terms import CheckTerms
from sim.encodings import Encoding, WireError
from sim.rl_interface import decode_action, encode_act_request


class CodeFailed(Exception):
    """The committed code is no policy, or broke off, or took more than it may."""

    def __init__(self, detail: str, *, passing: bool = False) -> None:
        super().__init__(detail)
        self.passing = passing


class SandboxBroken(Exception):
    """It could not be run; says nothing about the code."""


@dataclass(frozen=True, slots=True)
class CommittedActions:
    """`runs` by repeat, then by probe."""

    probes: Sequence[Probed]
    """Of those that were asked for, the first so many: code that does not repeat itself takes longer."""
    runs: list[list[Actions]]
    seeded: bool
    by_distribution: bool


async def committed_actions(
    sandbox: Sandbox, code_dir: Path, probes: Sequence[Probed], terms: CheckTerms
) -> CommittedActions:
    """Asks the code for the actions at the end of each probe, as often as its comparison needs.

    Raises:
        CodeFailed, SandboxBroken
    """
    try:
        return await _asked(sandbox, code_dir, probes, terms)
    except CodeFailed as failed:
        if not failed.passing:
            raise
        return await _asked(sandbox, code_dir, probes, terms)


async def _asked(sandbox: Sandbox, code_dir: Path, probes: Sequence[Probed], terms: CheckTerms) -> CommittedActions:
    try:
        async with sandbox.run(code_dir, sandbox_limits(terms.within_s)) as session:
            if session.ended is not None:
                raise _failure(session.ended, "when it was loaded")
            return await _repeated(CommittedCode(session), probes, terms)
    except UnreadablePolicy as error:
        raise SandboxBroken(str(error)) from error


async def _repeated(code: CommittedCode, probes: Sequence[Probed], terms: CheckTerms) -> CommittedActions:
    runs = [await code.run(probes) for _ in range(REPEATS_BY_VALUE)]
    if code.seeded or is_deterministic(runs, float(terms.tolerance)):
        return CommittedActions(probes, runs, code.seeded, by_distribution=False)
    some = _fitting(probes, acts_by_distribution(terms.within_s, code.mean_s, terms.act_deadline_ms))
    runs = [run[: len(some)] for run in runs]
    runs += [await code.run(some) for _ in range(REPEATS_BY_DISTRIBUTION - REPEATS_BY_VALUE)]
    return CommittedActions(some, runs, code.seeded, by_distribution=True)


def _fitting(probes: Sequence[Probed], acts_max: int) -> Sequence[Probed]:
    """The first probes that ask for so many actions together; one at least."""
    fit = [count for count in range(1, len(probes) + 1) if acts(probes[:count]) <= acts_max]
    return probes[: max(fit, default=1)]


class CommittedCode:
    """A policy in a sandbox."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._acts, self._spent_s = 0, 0.0
        self._allowance_s, self._ends_s = 0.0, 0.0
        self.seeded = False
        """Whether it has stated that it is seeded by the episode."""

    @property
    def mean_s(self) -> float:
        """For one action, so far."""
        return self._spent_s / max(self._acts, 1)

    async def run(self, probes: Sequence[Probed]) -> list[Actions]:
        """The action at the end of each probe, each from a reset on.

        Raises:
            CodeFailed, SandboxBroken
        """
        self._allowance_s = code_allowance_s(acts(probes))
        self._ends_s = self._spent_s + self._allowance_s
        return [await self._action(probe) for probe in probes]

    async def _action(self, probe: Probed) -> Actions:
        about = f"{probe.sample.env} #{probe.sample.index}"
        reset = Encoding.JSON.dumps({"task_config": probe.task.json()})
        self.seeded |= _states_seeded(await self._answer(Question.RESET, reset, f"at the reset of {about}"))
        answer = b""
        for step, observation in enumerate(probe.observations):
            answer = await self._answer(Question.ACT, encode_act_request(observation), f"at step {step} of {about}")
            self._acts += 1
            if self._spent_s > self._ends_s:
                raise _failure(TimedOut(Clock.TOTAL, self._allowance_s), f"at step {step} of {about}")
        try:
            return flattened(decode_action(answer, probe.action_spec), probe.action_spec)
        except WireError as error:
            raise CodeFailed(f"the committed code gave no valid action at step {step} of {about}: {error}") from error

    async def _answer(self, question: Question, body: bytes, when: str) -> bytes:
        outcome = await self._session.ask(question, body)
        if not isinstance(outcome, Answered):
            raise _failure(outcome, when)
        self._spent_s += outcome.elapsed_s
        return outcome.body


def _states_seeded(answer: bytes) -> bool:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("seeded") is True


def _failure(outcome: Raised | Ending, when: str) -> CodeFailed | SandboxBroken:
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
            return f"took longer than {limit_s:g} s for its answers together"
        case OutOfMemory(limit_bytes):
            return f"used more than {limit_bytes} bytes of memory"
        case TooLarge(limit_bytes, announced_bytes):
            return f"gave an answer of {announced_bytes} bytes, allowed are {limit_bytes}"
        case Malformed(reason):
            return f"gave something that is no answer: {reason}"
