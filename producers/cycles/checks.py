"""Whom a cycle checks, and what has come of it. Pure: a fold of the cycle's events, and of its secret.

Nobody is checked before the last episode has its outcome: then nothing else of ours calls a miner's endpoint, and
what is recorded does not change any more. So who is drawn, and with which recordings, is the same in every process.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from events.cycles import CyclePlanned, CycleSeeded
from events.draws import Candidate, to_be_checked
from events.episodes import EpisodeCompleted
from events.ids import Uid
from events.seeds import SeedMaterial
from events.verification import VerificationFailed, VerificationInconclusive, VerificationOutcome, VerificationPassed


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class CheckResult(NamedTuple):
    """What is kept of a check's outcome, whose event may be large."""

    uid: Uid
    verdict: Verdict
    reason: str | None
    """None where it passed."""
    detail: str | None


class Checks:
    """The spot checks of one cycle."""

    def __init__(self, plan: CyclePlanned | None, secret: bytes | None) -> None:
        """Without the cycle's secret nobody knows who is drawn, and nobody is."""
        self._plan = plan
        self._secret = secret
        self._completed_at: datetime | None = None
        self.material: SeedMaterial | None = None
        self.drawn: tuple[Candidate, ...] = ()
        """Who is to be checked, by uid; nobody before the checks can begin."""
        self.results: dict[Uid, CheckResult] = {}
        """In the order of the log."""
        self.recorded = False
        """Whether any episode was, so that there is something to check with."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checks) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def seed(self, seeded: CycleSeeded) -> None:
        if self._secret is not None:
            self.material = SeedMaterial(self._secret, bytes.fromhex(seeded.block_hash), seeded.cycle)
            self._draw()

    def record(self, event: EpisodeCompleted) -> None:
        """Takes in a planned episode."""
        self.recorded = self.recorded or event.steps > 0

    def begin(self, completed_at: datetime) -> None:
        """Every episode has its outcome, the last one since this moment; and the cycle is not to be abandoned."""
        self._completed_at = completed_at
        self._draw()

    def settle(self, event: VerificationOutcome) -> None:
        self.results[event.uid] = _result(event)

    def missing(self) -> tuple[Candidate, ...]:
        """Those to be checked that have no outcome."""
        return tuple(each for each in self.drawn if each.uid not in self.results)

    @property
    def ends_at(self) -> datetime:
        """When checks without an outcome become inconclusive: by the log, so that a restart changes nothing."""
        assert self._completed_at is not None, "checks without an end have not begun"
        assert self._plan is not None
        assert self._plan.verification is not None
        return self._completed_at + timedelta(seconds=self._plan.verification.within_s)

    def _draw(self) -> None:
        if self._plan is not None and self.material is not None and self._completed_at is not None:
            self.drawn = to_be_checked(self._plan, self.material)


def _result(event: VerificationOutcome) -> CheckResult:
    match event:
        case VerificationPassed():
            return CheckResult(event.uid, Verdict.PASSED, None, None)
        case VerificationFailed():
            return CheckResult(event.uid, Verdict.FAILED, event.reason, event.detail)
        case VerificationInconclusive():
            return CheckResult(event.uid, Verdict.INCONCLUSIVE, event.reason, event.detail)
