"""From points to weights: a softmax in decimal arithmetic, whole numbers by largest remainder.

`decimal` rounds each operation, `exp` included, correctly to the digits asked for, on every machine. After the
exponentials everything is integer arithmetic, so that no order of summation matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal

WEIGHT_PLACES = 18
"""Decimal places of a weight."""

NO_WEIGHT = Decimal(0).scaleb(-WEIGHT_PLACES)

U16_TOTAL = 65_535
"""What the weights sum to as the chain takes them."""

_EXP_PLACES = 40
"""Places kept of exponentials that are at most 1. What they lose is far below the last place of a weight."""

_CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999)
"""Our own, never the thread's: precision, rounding and limits are part of the formula."""


def softmax(points: Sequence[int], temperature: Decimal) -> list[Decimal]:
    """exp(points / temperature), normalised to `WEIGHT_PLACES` places; the sum is exactly 1.

    The greatest points are subtracted first, as integers: points reach 10^24, of which no exponential can be
    written down. The largest exponential is then 1, and what underflows is 0 in every place that a weight has.

    Args:
        points: at least one. Where remainders are equal the earlier in this order gets the last digit (`apportion`).
        temperature: above 0.
    """
    most = max(points)
    exponents = (_CONTEXT.divide(Decimal(value - most), temperature) for value in points)
    masses = [int(_CONTEXT.scaleb(_CONTEXT.exp(exponent), _EXP_PLACES)) for exponent in exponents]
    return [Decimal(part).scaleb(-WEIGHT_PLACES, _CONTEXT) for part in apportion(masses, 10**WEIGHT_PLACES)]


def u16(weights: Sequence[Decimal]) -> list[int]:
    """The weights of `softmax` as integers that sum to 65535, from their published digits alone."""
    return apportion([int(weight.scaleb(WEIGHT_PLACES, _CONTEXT)) for weight in weights], U16_TOTAL)


def apportion(masses: Sequence[int], total: int) -> list[int]:
    """Divide `total` into whole numbers in proportion to the masses, by largest remainder.

    Each gets its quotient rounded down; what is left goes, one each, to the largest remainders, and among equal
    remainders to whoever comes first. A mass of 0 gets 0.

    Args:
        masses: none below 0, their sum above 0.
        total: what the result sums to.
    """
    whole = sum(masses)
    quotients, remainders = zip(*(divmod(mass * total, whole) for mass in masses), strict=True)
    left = total - sum(quotients)
    favoured = {*sorted(range(len(masses)), key=lambda place: (-remainders[place], place))[:left]}
    return [quotient + (place in favoured) for place, quotient in enumerate(quotients)]
