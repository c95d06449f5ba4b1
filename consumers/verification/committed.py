"""What the committed code does on all probes, as often as its comparison needs, and otherwise than in an episode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from consumers.verification.budget import Kept, Length, at_first, by_distribution, by_value, shortest
from consumers.verification.committed_code import CodeFailed, CommittedCode, SandboxBroken, failure
from consumers.verification.comparison import Criterion, is_deterministic
from consumers.verification.evaluated import Otherwise
from consumers.verification.limits import (
    REPEATS_BY_DISTRIBUTION,
    REPEATS_BY_VALUE,
    sandbox_limits,
)
from consumers.verification.measure import Actions
from consumers.verification.otherwise import asked_otherwise, is_asked_otherwise
from consumers.verification.probes import Probed
from consumers.verification.sandbox.protocol import Sandbox, UnreadablePolicy
from consumers.verification.terms import CheckTerms

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CommittedActions:
    """`runs` by repeat, then by probe."""

    probes: Sequence[Probed]
    """Of those that were asked for, the first so many as there is time for (`budget`)."""
    runs: list[list[Actions]]
    seeded: bool
    by_distribution: bool
    otherwise: Sequence[Otherwise | None]
    """By probe: what it does without the episode's history; None where that decides nothing."""


async def committed_actions(
    sandbox: Sandbox, code_dir: Path, probes: Sequence[Probed], terms: CheckTerms
) -> CommittedActions:
    """Asks the code for the actions at the end of each probe, as often as its comparison needs.

    A time-out on the wall's clock is tried once more, if there is time: this machine may have stood still.

    Raises:
        CodeFailed, SandboxBroken
    """
    attempt = _Attempt(terms, time.monotonic() + terms.within_s)
    try:
        return await attempt.asked(sandbox, code_dir, probes)
    except CodeFailed as failed:
        if not failed.passing:
            raise
        return await replace(attempt, earlier=failed).asked(sandbox, code_dir, probes)


@dataclass(frozen=True, slots=True)
class _Attempt:
    terms: CheckTerms
    ends_s: float
    """By the monotonic clock: the whole check, endpoint and all."""
    earlier: CodeFailed | None = None

    def _left_s(self) -> float:
        return self.ends_s - time.monotonic()

    async def asked(self, sandbox: Sandbox, code_dir: Path, probes: Sequence[Probed]) -> CommittedActions:
        try:
            async with sandbox.run(code_dir, sandbox_limits(max(self._left_s(), 1.0))) as session:
                if session.ended is not None:
                    raise failure(session.ended, "when it was loaded")
                return await self._repeated(CommittedCode(session), probes)
        except UnreadablePolicy as error:
            raise SandboxBroken(str(error)) from error

    async def _repeated(self, code: CommittedCode, probes: Sequence[Probed]) -> CommittedActions:
        lengths = _lengths(probes)
        probes = _chosen(probes, self._kept(at_first(lengths, self._left_s()), lengths))
        first = await code.first_run(probes)
        lengths = _lengths(probes)
        kept = self._kept(by_value(lengths, code.pace, self.terms, self._left_s()), lengths)
        probes = _chosen(probes, kept)
        runs = [_chosen(first, kept), *await code.later_runs(probes, REPEATS_BY_VALUE - 1)]
        environments = [probe.sample.env for probe in probes]
        criterion = Criterion.of(self.terms.measure, self.terms.tolerance, environments)
        if code.seeded or is_deterministic(runs, criterion):
            otherwise = await asked_otherwise(code, probes, self.terms.environments)
            return CommittedActions(probes, runs, code.seeded, by_distribution=False, otherwise=otherwise)
        return await self._by_distribution(code, probes, runs)

    async def _by_distribution(
        self, code: CommittedCode, probes: Sequence[Probed], runs: list[list[Actions]]
    ) -> CommittedActions:
        lengths = _lengths(probes)
        kept = self._kept(by_distribution(lengths, code.pace, self.terms, self._left_s()), lengths)
        some = _chosen(probes, kept)
        runs = [_chosen(run, kept) for run in runs]
        runs += await code.later_runs(some, REPEATS_BY_DISTRIBUTION - REPEATS_BY_VALUE)
        return CommittedActions(some, runs, code.seeded, by_distribution=True, otherwise=[None] * len(some))

    def _kept(self, fitting: Kept, lengths: Sequence[Length]) -> Kept:
        """What fits; else one sample all the same, but not for a second time: who is too slow has failed by then."""
        if fitting:
            return fitting
        if self.earlier is not None:
            raise self.earlier
        return shortest(lengths)


def _lengths(probes: Sequence[Probed]) -> list[Length]:
    return [Length(len(probe.observations), is_asked_otherwise(probe)) for probe in probes]


def _chosen(items: Sequence[Item], places: Kept) -> list[Item]:
    return [items[place] for place in places]
