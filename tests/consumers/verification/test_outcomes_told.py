"""What an outcome tells, and what it must not."""

from __future__ import annotations

import pytest

from consumers.verification.checking import Checked
from consumers.verification.handler import outcome_of
from consumers.verification.verdict import Failed, Finding, Inconclusive
from events.verification import (
    FailureReason,
    InconclusiveReason,
    VerificationFailed,
    VerificationInconclusive,
)
from tests.controls import facts

OWN, WITNESS = "https://own-deployment.example.org", "https://other-deployment.example.net"
TOLD = f"POST {OWN}/act failed, and so did {WITNESS}/"


@pytest.mark.parametrize(
    "finding",
    [Failed(FailureReason.ENDPOINT_FAILED, TOLD), Inconclusive(InconclusiveReason.INTERNAL_ERROR, TOLD)],
    ids=["failed", "inconclusive"],
)
def test_neither_the_miners_endpoint_nor_a_witness_is_told(finding: Finding) -> None:
    task = facts.check_task().model_copy(update={"endpoint": OWN, "witnesses": (WITNESS,)})
    checked = Checked()
    checked.finding = finding
    outcome = outcome_of(task, checked, duration_s=1.0, verifier="verifier-1")
    assert isinstance(outcome, VerificationFailed | VerificationInconclusive)
    assert "deployment" not in outcome.detail
    assert outcome.detail.startswith("POST .../act failed")
