"""Margins by which one success rate must pass another: clipped square roots, compared without rounding.

Epsilon and the threshold gap are both a factor times the square root of a rational number, clipped. The difference
of two rates is rational, and for d > 0 the sign of d - sqrt(q) is the sign of d^2 - q: integers decide, on every
machine alike. So a rate that lies exactly on a margin never passes it; in binary floating point that is luck:
there 0.8 > 0.7 + 0.1 holds, and 0.4 > 0.3 + 0.1 does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from math import isqrt, lcm
from typing import Self

from consumers.scoring.rates import Rate

SHOWN_PLACES = 18
"""Decimal places of a margin where it is shown. Comparisons never see this rounding."""

_CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class RateGrid:
    """The rates of all miners on one environment as integers: `marks[m] / units` is the rate of miner m.

    `units` is the least common multiple of the counted episodes, so that no rate is rounded.
    """

    units: int
    marks: tuple[int, ...]

    @classmethod
    def of(cls, rates: Sequence[Rate]) -> Self:
        units = lcm(*(rate.counted or 1 for rate in rates))
        return cls(units, tuple(rate.successes * (units // (rate.counted or 1)) for rate in rates))


@dataclass(frozen=True, slots=True)
class Margin:
    """A real number >= 0, known by its exact square."""

    squared: Fraction

    @classmethod
    def of(cls, value: Decimal) -> Self:
        return cls(Fraction(value) ** 2)

    @classmethod
    def clipped(cls, squared: Fraction, low: Decimal, high: Decimal) -> Self:
        """The root of `squared`, clipped to [low, high]. Clipping the square is the same: none is negative."""
        return cls(min(max(squared, Fraction(low) ** 2), Fraction(high) ** 2))

    def reach(self, units: int) -> int:
        """The largest integer d with d / units <= this margin.

        a / units passes b / units by more than the margin iff a - b > reach(units), for integers a and b.
        """
        return isqrt(self.squared.numerator * units**2 // self.squared.denominator)

    def decimal(self) -> Decimal:
        """To `SHOWN_PLACES` places, for people and for events."""
        square = _CONTEXT.divide(Decimal(self.squared.numerator), Decimal(self.squared.denominator))
        shown = _CONTEXT.quantize(_CONTEXT.sqrt(square), Decimal(1).scaleb(-SHOWN_PLACES))
        return shown.normalize(_CONTEXT)
