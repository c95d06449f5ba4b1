"""Do two sets of actions come from one distribution? A permutation test on the energy distance.

The statistic is the energy distance (Székely and Rizzo, Energy statistics: a class of statistics based on distances,
2013) between the two sets of repeats, each sample's distances divided by their mean, summed over the samples. Repeats
are exchanged between the sides as wholes, since the actions of one episode hang together. Under the hypothesis that
both sides are the same policy, every exchange is as likely, so the p-value

    (1 + exchanges with a statistic at least as large) / (1 + exchanges)

is at most `FALSE_ALARM_RATE` with at most that probability, whatever the distribution (Phipson and Smyth, Permutation
p-values should never be zero, 2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM_RATE = 0.0005
EXCHANGES = 9_999
REPEATS_MIN = 8
"""On each side: fewer can be exchanged in too few ways for p-values as small as the false alarm rate."""

FloatArray = NDArray[np.float64]


def p_value(one: Sequence[FloatArray], two: Sequence[FloatArray], *, seed: int) -> float:
    """Of the hypothesis that both sides are one policy; by sample, arrays of shape (repeats, values).

    Raises:
        ValueError: fewer repeats than `REPEATS_MIN`.
    """
    first, second = len(one[0]), len(two[0])
    if min(first, second) < REPEATS_MIN:
        raise ValueError(f"a distribution: expected {REPEATS_MIN} repeats or more a side, got {first} and {second}")
    distances = np.sum([_scaled_distances(np.concatenate(pair)) for pair in zip(one, two, strict=True)], axis=0)
    sides = np.zeros((1 + EXCHANGES, first + second))
    sides[0, :first] = 1.0
    sides[1:] = _exchanged(first + second, seed) < first
    statistics = _energy_distances(distances, sides, first, second)
    slack = 1e-9 * float(np.max(np.abs(statistics)))
    return float(np.mean(statistics >= statistics[0] - slack))


def _exchanged(repeats: int, seed: int) -> NDArray[np.intp]:
    """`EXCHANGES` orders of the repeats, one a row: by as many numbers of PCG64 (O'Neill, 2014), smallest first.

    An audit draws them again, maybe with another numpy: that keeps what its bit generators give from version to
    version, and not what is made of it (NEP 19).
    """
    numbers = np.random.PCG64(seed).random_raw(EXCHANGES * repeats).reshape(EXCHANGES, repeats)
    return np.asarray(numbers.argsort(axis=1, kind="stable"))


def _scaled_distances(points: FloatArray) -> FloatArray:
    flat = points.reshape(len(points), -1)
    distances = np.sqrt(((flat[:, None, :] - flat[None, :, :]) ** 2).sum(axis=2))
    mean = float(distances.mean())
    return np.asarray(distances / mean if mean > 0 else distances)


def _energy_distances(distances: FloatArray, sides: FloatArray, first: int, second: int) -> FloatArray:
    """Of each row of `sides`, which is 1 where a repeat counts as of the first side."""
    others = 1.0 - sides
    between = np.einsum("ri,ij,rj->r", sides, distances, others, optimize=True) / (first * second)
    within_first = np.einsum("ri,ij,rj->r", sides, distances, sides, optimize=True) / first**2
    within_second = np.einsum("ri,ij,rj->r", others, distances, others, optimize=True) / second**2
    return np.asarray(2 * between - within_first - within_second)
