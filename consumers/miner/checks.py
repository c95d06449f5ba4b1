"""What is said of a policy server: one check after the other, with the codes of a real evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sim.policy import PolicyFailed, PolicyFailure


class Verdict(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    """An evaluation goes on, but something can be better."""
    FAILED = "failed"
    """An evaluation would forfeit episodes, with the code that stands beside."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    detail: str
    code: PolicyFailure | None = None
    remedy: str = ""


REMEDIES = {
    PolicyFailure.UNREACHABLE: "start the server, open its port, and check the name, the port and the certificate",
    PolicyFailure.ADDRESS_REFUSED: "serve at a public address; to try one of your own, --allow-private-endpoints",
    PolicyFailure.DEADLINE_MISSED: "load the model before the first request, make it quicker, or serve it nearer by",
    PolicyFailure.HTTP_ERROR: "look into the server's own log; the paths are /reset and /act under the URL",
    PolicyFailure.REDIRECT_REFUSED: "commit the URL that answers itself, with the right scheme and no path too many",
    PolicyFailure.BODY_TOO_LARGE: "answer with the action alone",
    PolicyFailure.MALFORMED: 'answer {"action": {"continuous": {"ee_twist": [6 numbers], "gripper": [1 number]}}}',
    PolicyFailure.NON_FINITE: "answer finite numbers: look for NaN in what the model is given, and in what it gives",
    PolicyFailure.WRONG_SHAPE: "answer a flat list of as many numbers as the channel has",
}


def passed(name: str, detail: str) -> Check:
    return Check(name, Verdict.OK, detail)


def warned(name: str, detail: str, remedy: str) -> Check:
    return Check(name, Verdict.WARNING, detail, remedy=remedy)


def failed(name: str, code: PolicyFailure, detail: str) -> Check:
    return Check(name, Verdict.FAILED, detail, code, REMEDIES[code])


def failed_by(name: str, error: PolicyFailed) -> Check:
    return failed(name, error.code, error.detail)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the policy took for the calls of a kind, in milliseconds, against their deadline."""

    count: int
    min_ms: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    deadline_ms: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float], deadline_ms: float) -> Timing | None:
        """None of none. Percentiles by nearest rank."""
        if not latencies_ms:
            return None
        ordered = sorted(latencies_ms)

        def rank(share: float) -> float:
            return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3)

        return cls(len(ordered), rank(0), rank(0.5), rank(0.99), rank(1), deadline_ms)

    def __str__(self) -> str:
        return (
            f"min {self.min_ms:.1f}, p50 {self.p50_ms:.1f}, p99 {self.p99_ms:.1f}, max {self.max_ms:.1f} ms"
            f" of {self.deadline_ms:g} ms, in {self.count} calls"
        )


NARROW = 0.8
"""Of the deadline: whoever is so slow here misses it on a worse day."""


def timing_check(name: str, timing: Timing) -> Check:
    """Late calls are forfeits already; this is about those that were nearly late."""
    if timing.p99_ms > NARROW * timing.deadline_ms:
        return warned(name, f"{timing}: close to the deadline", REMEDIES[PolicyFailure.DEADLINE_MISSED])
    return passed(name, str(timing))


@dataclass(frozen=True, slots=True)
class Report:
    """All checks that were made: after a failed first call the others would say the same."""

    checks: tuple[Check, ...]
    reset: Timing | None = None
    act: Timing | None = None

    @property
    def ok(self) -> bool:
        return all(check.verdict is not Verdict.FAILED for check in self.checks)
