"""What of the options becomes the scheduler's settings."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from events.cli import Misused, environment
from events.verification import OnFailure
from events.verification_options import VerificationOptions
from producers.cycles.settings import SchedulerSettings, VerificationSettings
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import Scheduling
from producers.scoring_options import ScoringOptions


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def settings(home: Path, verification: VerificationOptions) -> SchedulerSettings:
    network = NetworkOptions(network="local", roster=home / "roster.toml")
    return Scheduling(network, CycleOptions(), ScoringOptions(), home, {}, verification).settings()


def test_nobody_is_checked_unless_that_is_asked_for(home: Path) -> None:
    assert settings(home, VerificationOptions(verification_rate=Decimal(1))).verification is None


def test_what_is_asked_for_becomes_the_terms_of_checks(home: Path) -> None:
    asked = VerificationOptions(
        verification=True,
        verification_rate=Decimal("0.25"),
        verification_tolerance=Decimal("0.01"),
        verification_samples=7,
        verification_on_failure=OnFailure.NOTHING,
        verification_within=60,
    )
    assert settings(home, asked).verification == VerificationSettings(
        rate=Decimal("0.25"), tolerance=Decimal("0.01"), samples=7, on_failure=OnFailure.NOTHING, within_s=60
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (VerificationOptions(verification=True, verification_rate=Decimal("1.5")), "--verification-rate: "),
        (VerificationOptions(verification=True, verification_rate=Decimal("NaN")), "--verification-rate: "),
        (VerificationOptions(verification=True, verification_tolerance=Decimal(0)), "--verification-tolerance: "),
        (VerificationOptions(verification=True, verification_samples=21), "--verification-samples: "),
        (VerificationOptions(verification=True, verification_within=0), "--verification-within: "),
    ],
)
def test_what_is_wrong_is_told_by_the_name_of_the_option(home: Path, options: VerificationOptions, told: str) -> None:
    with pytest.raises(Misused, match=told):
        settings(home, options)


def test_child_processes_are_told_of_checks_in_variables() -> None:
    variables = environment(VerificationOptions(verification=True, verification_rate=Decimal("0.10")))
    assert variables["KINITRO_EXECUTOR_VERIFICATION_ENABLED"] == "True"
    assert variables["KINITRO_EXECUTOR_VERIFICATION_RATE"] == "0.10"
    assert variables["KINITRO_EXECUTOR_VERIFICATION_ON_FAILURE"] == "no_weight"
