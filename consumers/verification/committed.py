"""What the committed code does on all probes, as often as its comparison needs, and otherwise than in an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumers.verification.committed_code import CodeFailed, CommittedCode, SandboxBroken, failure
from consumers.verification.comparison import Actions, is_deterministic
from consumers.verification.evaluated import Otherwise
from consumers.verification.limits import (
    REPEATS_BY_DISTRIBUTION,
    REPEATS_BY_VALUE,
    acts_by_distribution,
    sandbox_limits,
)
from consumers.verification.otherwise import asked_otherwise
from consumers.verification.probes import Probed, acts
from consumers.verification.sandbox.protocol import Sandbox, UnreadablePolicy
from consumers.verification.terms import CheckTerms


@dataclass(frozen=True, slots=True)
class CommittedActions:
    """`runs` by repeat, then by probe."""

    probes: Sequence[Probed]
    """Of those that were asked for, the first so many: code that does not repeat itself takes longer."""
    runs: list[list[Actions]]
    seeded: bool
    by_distribution: bool
    otherwise: Sequence[Otherwise | None]
    """By probe: what it does without the episode's history; None where that decides nothing."""


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
                raise failure(session.ended, "when it was loaded")
            return await _repeated(CommittedCode(session), probes, terms)
    except UnreadablePolicy as error:
        raise SandboxBroken(str(error)) from error


async def _repeated(code: CommittedCode, probes: Sequence[Probed], terms: CheckTerms) -> CommittedActions:
    runs = [await code.run(probes) for _ in range(REPEATS_BY_VALUE)]
    if code.seeded or is_deterministic(runs, float(terms.tolerance)):
        otherwise = await asked_otherwise(code, probes, terms.environments)
        return CommittedActions(probes, runs, code.seeded, by_distribution=False, otherwise=otherwise)
    some = _fitting(probes, acts_by_distribution(terms.within_s, code.mean_s, terms.act_deadline_ms))
    runs = [run[: len(some)] for run in runs]
    runs += [await code.run(some) for _ in range(REPEATS_BY_DISTRIBUTION - REPEATS_BY_VALUE)]
    return CommittedActions(some, runs, code.seeded, by_distribution=True, otherwise=[None] * len(some))


def _fitting(probes: Sequence[Probed], acts_max: int) -> Sequence[Probed]:
    """The first probes that ask for so many actions together; one at least."""
    fit = [count for count in range(1, len(probes) + 1) if acts(probes[:count]) <= acts_max]
    return probes[: max(fit, default=1)]
