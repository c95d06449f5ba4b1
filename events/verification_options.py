"""The options of spot checks. One group for the roles that need some of them each: scheduler and executor."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from events.verification import SAMPLES_MAX, OnFailure


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a decimal number, as in 0.05") from error


def _rate(text: str) -> Decimal:
    rate = _decimal(text)
    if not (rate.is_finite() and 0 <= rate <= 1):
        raise typer.BadParameter(f"expected a number from 0 to 1, got {text}")
    return rate


def tolerance_of(text: str) -> Decimal:
    """The relative error in this text.

    Raises:
        BadParameter: it is no number, or out of range.
    """
    tolerance = _decimal(text)
    if not (tolerance.is_finite() and 0 < tolerance <= 1):
        raise typer.BadParameter(f"expected a number above 0 and at most 1, got {text}")
    return tolerance


@dataclass(frozen=True)
class VerificationOptions:
    """Whether and how the deployed policies are compared with the committed ones."""

    verification: Annotated[
        bool,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_ENABLED",
            help="Spot-check that the policy that is served is the one that was committed.",
        ),
    ] = False
    verification_rate: Annotated[
        Decimal,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_RATE",
            parser=_rate,
            metavar="<decimal>",
            help="Probability with which a miner is checked in a cycle.",
        ),
    ] = Decimal("0.05")
    verification_tolerance: Annotated[
        Decimal,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_TOLERANCE",
            parser=tolerance_of,
            metavar="<decimal>",
            help="Relative error of an action up to which it is the same.",
        ),
    ] = Decimal("0.001")
    verification_samples: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_SAMPLES",
            min=1,
            max=SAMPLES_MAX,
            help="How many actions are compared, each of another episode.",
        ),
    ] = 5
    verification_on_failure: Annotated[
        OnFailure,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_ON_FAILURE",
            help="What follows for a miner that fails: no weight until a later check passes, or nothing.",
        ),
    ] = OnFailure.NO_WEIGHT
    verification_within: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_WITHIN_SECONDS",
            min=1,
            help="How long a cycle waits for its checks, once all its episodes have ended.",
        ),
    ] = 1800
    verification_max_repo_size_gb: Annotated[
        float,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_MAX_REPO_SIZE_GB",
            min=0.001,
            help="A committed repository may have so many GB (10^9 bytes).",
        ),
    ] = 5.0
    verification_cache_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="KINITRO_EXECUTOR_VERIFICATION_CACHE_DIR",
            help="Where committed repositories are kept; in KINITRO_HOME when absent.",
        ),
    ] = None
