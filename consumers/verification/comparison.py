"""Is what is served what was committed? The actions of both on the same probes, compared. Pure.

An action matches if its error (`consumers.verification.measure`) is at most the tolerance; its score is 1 then, and
tolerance / error beyond. The match score is the mean over all samples, but every single action must match: an average
would forgive one in five.

A policy whose committed code gives other actions when it is asked the same again cannot be compared by value. It is
compared by distribution over the repeats (`consumers.verification.distribution`), and the result says so. The
committed side alone decides which it is: an endpoint that answers at random does not choose the milder test. Code
that states that it is seeded by the episode is compared by value always, and fails where it does not repeat itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consumers.verification.distribution import FALSE_ALARM_RATE, p_value
from consumers.verification.measure import Actions, Channels, channels_of, relative_error
from events.ids import EnvId
from events.verification import Measure, Method, Mismatch

Runs = Sequence[Sequence[Actions]]
"""By repeat, then by sample. Each repeat begins with a reset."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """When an action is the committed one."""

    tolerance: float
    channels: Sequence[Channels]
    """By sample."""

    @classmethod
    def of(cls, measure: Measure, tolerance: Decimal, environments: Iterable[EnvId]) -> Self:
        """`environments`: by sample.

        Raises:
            UnknownEnvironment: by channel only.
        """
        return cls(float(tolerance), [channels_of(measure, env) for env in environments])


@dataclass(frozen=True, slots=True)
class SampleComparison:
    """One probe in one repeat, or, by distribution, in all of them."""

    sample: int
    repeat: int | None
    error: float | None
    """None: there is none to compute. By distribution: of the means, for people to read; it decides nothing."""
    score: float
    mismatch: Mismatch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The outcome, and all that it rests on."""

    method: Method
    passed: bool
    score: float
    """0 to 1. By distribution: 1 where it passed, else the p-value."""
    samples: tuple[SampleComparison, ...]
    tolerance: float
    p_value: float | None = None
    false_alarm_rate: float | None = None
    """By distribution only: how often an honest policy fails."""


def compare(
    committed: Runs, served: Runs, criterion: Criterion, *, seed: int = 0, seeded: bool = False
) -> Comparison:
    """Compares the runs of both sides, with as many samples each; by distribution, `REPEATS_MIN` repeats or more.

    `seed`: of the permutations, where a distribution is compared; from the cycle's, so that it can be done again.
    `seeded`: whether the committed code states that it is seeded by the episode.

    Raises:
        ValueError: the tolerance is not positive, or the runs are not such runs, or no actions of these channels. It
            is our mistake, not the policy's.
    """
    tolerance = criterion.tolerance
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance: expected a positive number, got {tolerance}")
    _check(committed, served, criterion)
    if seeded or is_deterministic(committed, criterion):
        return _by_value(committed, served, criterion)
    return _by_distribution(committed, served, criterion, seed)


def is_deterministic(runs: Runs, criterion: Criterion) -> bool:
    """Whether all repeats of these runs match the first. One repeat alone is taken for it."""
    return all(
        _compared(sample, repeat, one, two, criterion).mismatch in (None, Mismatch.NON_FINITE)
        for repeat, run in enumerate(runs)
        for sample, (one, two) in enumerate(zip(runs[0], run, strict=True))
    )


def _check(committed: Runs, served: Runs, criterion: Criterion) -> None:
    samples = len(criterion.channels)
    lengths = sorted({len(run) for runs in (committed, served) for run in runs})
    if not committed or not served or lengths != [samples] or samples == 0:
        raise ValueError(
            f"runs: expected one repeat or more on both sides, each of {samples} samples and at least one, got"
            f" {len(committed)} and {len(served)} repeats with {lengths} samples"
        )


def _by_value(committed: Runs, served: Runs, criterion: Criterion) -> Comparison:
    samples = tuple(
        _not_repeated(sample, repeat, committed, criterion) or _compared(sample, repeat, one, two, criterion)
        for repeat, run in enumerate(served)
        for sample, (one, two) in enumerate(zip(committed[0], run, strict=True))
    )
    return Comparison(
        method=Method.BY_VALUE,
        passed=all(each.mismatch is None for each in samples),
        score=math.fsum(each.score for each in samples) / len(samples),
        samples=samples,
        tolerance=criterion.tolerance,
    )


def _not_repeated(sample: int, repeat: int, committed: Runs, criterion: Criterion) -> SampleComparison | None:
    """Where the committed code itself gives another action when it is asked again, and how far off at worst."""
    repeats = [_compared(sample, repeat, committed[0][sample], run[sample], criterion) for run in committed[1:]]
    others = [each for each in repeats if each.mismatch is Mismatch.BEYOND_TOLERANCE]
    if not others:
        return None
    worst = min(others, key=lambda each: each.score)
    return SampleComparison(sample, repeat, worst.error, worst.score, Mismatch.NOT_REPEATED)


def _compared(
    sample: int, repeat: int | None, committed: Actions, served: Actions, criterion: Criterion
) -> SampleComparison:
    if np.shape(committed) != np.shape(served):
        return SampleComparison(sample, repeat, None, 0.0, Mismatch.WRONG_SHAPE)
    if not (np.isfinite(committed).all() and np.isfinite(served).all()):
        return SampleComparison(sample, repeat, None, 0.0, Mismatch.NON_FINITE)
    error = relative_error(committed, served, criterion.channels[sample])
    if error <= criterion.tolerance:
        return SampleComparison(sample, repeat, error, 1.0, None)
    return SampleComparison(sample, repeat, _finite(error), criterion.tolerance / error, Mismatch.BEYOND_TOLERANCE)


def _by_distribution(committed: Runs, served: Runs, criterion: Criterion, seed: int) -> Comparison:
    samples = tuple(_sets(sample, committed, served, criterion) for sample in range(len(committed[0])))
    unusable = any(each.mismatch for each in samples)
    p = 0.0 if unusable else p_value(_by_sample(committed), _by_sample(served), seed=seed)
    passed = not unusable and p > FALSE_ALARM_RATE
    if not passed and not unusable:
        other = Mismatch.OTHER_DISTRIBUTION
        samples = tuple(SampleComparison(each.sample, None, each.error, 0.0, other) for each in samples)
    return Comparison(
        method=Method.BY_DISTRIBUTION,
        passed=passed,
        score=1.0 if passed else p,
        samples=samples,
        tolerance=criterion.tolerance,
        p_value=p,
        false_alarm_rate=FALSE_ALARM_RATE,
    )


def _sets(sample: int, committed: Runs, served: Runs, criterion: Criterion) -> SampleComparison:
    """The actions of one sample over the repeats of both sides: whether they are such that they can be compared."""
    actions = [run[sample] for runs in (committed, served) for run in runs]
    if len({np.shape(action) for action in actions}) != 1:
        return SampleComparison(sample, None, None, 0.0, Mismatch.WRONG_SHAPE)
    if not all(np.isfinite(action).all() for action in actions):
        return SampleComparison(sample, None, None, 0.0, Mismatch.NON_FINITE)
    one, two = (np.asarray(np.mean([run[sample] for run in runs], axis=0)) for runs in (committed, served))
    error = relative_error(one, two, criterion.channels[sample])
    return SampleComparison(sample, None, _finite(error), 1.0, None)


def _by_sample(runs: Runs) -> list[NDArray[np.float64]]:
    return [np.array([run[sample] for run in runs], np.float64) for sample in range(len(runs[0]))]


def _finite(error: float) -> float | None:
    return error if math.isfinite(error) else None
