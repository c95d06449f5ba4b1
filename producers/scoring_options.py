"""The options that are parameters of the scoring rules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from pydantic import ValidationError

from events.cli import Misused
from events.rules import PointScheme, ScoringRules
from producers.options import told


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a decimal number, as in 1.5") from error


def _number(variable: str, help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        envvar=f"KINITRO_BACKEND_{variable}", parser=_decimal, metavar="<decimal>", help=help_text
    )
    return option


@dataclass(frozen=True)
class ScoringOptions:
    """The parameters of the scoring rules; see `events/rules.py`."""

    pareto_temperature: Annotated[Decimal, _number("PARETO_TEMPERATURE", "Of the softmax over points.")] = Decimal(
        "1.0"
    )
    epsilon_factor: Annotated[Decimal, _number("EPSILON_FACTOR", "Epsilon per spread of the rates.")] = Decimal(2)
    epsilon_min: Annotated[Decimal, _number("EPSILON_MIN", "Least epsilon.")] = Decimal("0.01")
    epsilon_max: Annotated[Decimal, _number("EPSILON_MAX", "Greatest epsilon.")] = Decimal("0.20")
    threshold_z: Annotated[Decimal, _number("THRESHOLD_Z", "Standard errors to exceed.")] = Decimal("1.5")
    gap_min: Annotated[Decimal, _number("GAP_MIN", "Least gap to exceed.")] = Decimal("0.02")
    gap_max: Annotated[Decimal, _number("GAP_MAX", "Greatest gap to exceed.")] = Decimal("0.10")
    subset_points: Annotated[
        PointScheme, typer.Option(envvar="KINITRO_BACKEND_SUBSET_POINTS", help="What a won subset is worth.")
    ] = PointScheme.LINEAR
    coverage_min: Annotated[
        Decimal, _number("COVERAGE_MIN", "Share of episodes that must count, or the cycle is abandoned.")
    ] = Decimal("0.5")

    def rules(self) -> ScoringRules:
        """The rules as they stand in the plan.

        Raises:
            Misused: a value is out of range.
        """
        try:
            return ScoringRules(
                epsilon_factor=self.epsilon_factor,
                epsilon_min=self.epsilon_min,
                epsilon_max=self.epsilon_max,
                threshold_z=self.threshold_z,
                gap_min=self.gap_min,
                gap_max=self.gap_max,
                points=self.subset_points,
                temperature=self.pareto_temperature,
                coverage_min=self.coverage_min,
            )
        except ValidationError as error:
            raise Misused(told(error)) from error
