"""The scoring rules of a cycle: part of `CyclePlanned`, so that nobody can change them after the fact."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UnitDecimal = Annotated[Decimal, Field(ge=0, le=1, max_digits=18)]


class PointScheme(StrEnum):
    """What a won subset of n environments is worth."""

    LINEAR = "linear"
    """n points."""
    EXPONENTIAL = "exponential"
    """2^(n-1) points."""
    EQUAL = "equal"
    """1 point."""


class ScoringRules(BaseModel):
    """Parameters of epsilon-Pareto dominance, subset winners and the softmax over points.

    Decimals, written as strings: the weights must come out digit for digit on every machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal["epsilon-pareto/1"] = "epsilon-pareto/1"
    epsilon_factor: Annotated[Decimal, Field(ge=0, max_digits=18)] = Decimal(2)
    """epsilon = factor x population standard deviation of the rates over miners / sqrt(planned episodes)."""
    epsilon_min: UnitDecimal = Decimal("0.01")
    epsilon_max: UnitDecimal = Decimal("0.20")
    threshold_z: Annotated[Decimal, Field(ge=0, max_digits=18)] = Decimal("1.5")
    """gap = z x sqrt(p'(1-p')/n) that a later miner must exceed."""
    gap_min: UnitDecimal = Decimal("0.02")
    gap_max: UnitDecimal = Decimal("0.10")
    points: PointScheme = PointScheme.LINEAR
    temperature: Annotated[Decimal, Field(gt=0, max_digits=18)] = Decimal("1.0")
    """weights = softmax(points / temperature)."""
    coverage_min: UnitDecimal = Decimal("0.5")
    """A cycle of which a smaller share of the planned episodes could be counted is abandoned as a whole."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, low, high in (
            ("epsilon", self.epsilon_min, self.epsilon_max),
            ("gap", self.gap_min, self.gap_max),
        ):
            if low > high:
                raise ValueError(f"{name}_min {low} is above {name}_max {high}")
        return self


@dataclass(frozen=True, slots=True)
class RuleDiffers:
    """One rule that is not the same, as it stands in events."""

    name: str
    value: str
    other: str

    def __str__(self) -> str:
        return f"{self.name} {self.value} instead of {self.other}"


def rules_that_differ(rules: ScoringRules, other: ScoringRules) -> tuple[RuleDiffers, ...]:
    """Those of another value; 2 and 2.0 are the same."""
    names = ScoringRules.model_fields
    values = ((name, getattr(rules, name), getattr(other, name)) for name in names)
    return tuple(RuleDiffers(name, str(old), str(new)) for name, old, new in values if old != new)
