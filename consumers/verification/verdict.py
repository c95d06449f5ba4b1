"""From everything that came out of a check to what is said about the miner. Pure.

Finding
├── Passed          every compared action is one of the committed code's
├── Failed          it is not, or there is no such code, or nobody serves it
└── Inconclusive    we could not find out: nothing of it is held against the miner
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from consumers.verification.comparison import Comparison, Runs, SampleComparison, compare
from consumers.verification.probes import Sampled
from events.verification import (
    CheckedSample,
    ComparedActions,
    FailureReason,
    InconclusiveReason,
    Method,
    Mismatch,
)


@dataclass(frozen=True, slots=True)
class Passed:
    compared: ComparedActions


@dataclass(frozen=True, slots=True)
class Failed:
    reason: FailureReason
    detail: str
    """For the miner: what was expected, what was found, what to do."""
    compared: ComparedActions | None = None


@dataclass(frozen=True, slots=True)
class Inconclusive:
    reason: InconclusiveReason
    detail: str
    """For the operator."""


Finding = Passed | Failed | Inconclusive


def found(compared: ComparedActions, tolerance: Decimal) -> Passed | Failed:
    """What the comparison means for the miner."""
    wrong = [each for each in compared.samples if each.mismatch is not None]
    if not wrong:
        return Passed(compared)
    if any(each.mismatch is Mismatch.NOT_REPEATED for each in wrong):
        return Failed(FailureReason.NOT_REPEATED, _not_repeated(wrong, len(compared.samples)), compared)
    if compared.method is Method.BY_DISTRIBUTION:
        return Failed(FailureReason.ACTIONS_DIFFER, _other_distribution(compared), compared)
    return Failed(FailureReason.ACTIONS_DIFFER, _differ(wrong, len(compared.samples), tolerance), compared)


def compared_actions(
    samples: Sequence[Sampled], committed: Runs, served: Runs, *, tolerance: Decimal, seed: int, seeded: bool
) -> ComparedActions:
    """Compares the runs, and says it as an event does: a sample by its worst repeat.

    Raises:
        ValueError: as `compare`.
    """
    comparison = compare(committed, served, tolerance=float(tolerance), seed=seed, seeded=seeded)
    return ComparedActions(
        method=comparison.method,
        seeded=seeded,
        score=comparison.score,
        p_value=comparison.p_value,
        false_alarm_rate=comparison.false_alarm_rate,
        samples=tuple(
            _checked(sample, _worst(comparison, number), _by_repeat(committed, number), _by_repeat(served, number))
            for number, sample in enumerate(samples)
        ),
    )


def compared_again(compared: ComparedActions, *, tolerance: Decimal, seed: int) -> ComparedActions:
    """The same, once more, from nothing but the actions that an event holds.

    Raises:
        ValueError: the samples have different numbers of repeats, as no comparison has.
    """
    samples = [Sampled(each.uid, each.env, each.index, each.step) for each in compared.samples]
    committed, served = (
        [[np.array(action, np.float32) for action in run] for run in zip(*sides, strict=True)]
        for sides in ([each.committed for each in compared.samples], [each.served for each in compared.samples])
    )
    return compared_actions(samples, committed, served, tolerance=tolerance, seed=seed, seeded=compared.seeded)


def _worst(comparison: Comparison, sample: int) -> SampleComparison:
    return min((each for each in comparison.samples if each.sample == sample), key=lambda each: each.score)


def _checked(
    sample: Sampled,
    comparison: SampleComparison,
    committed: tuple[tuple[float, ...], ...],
    served: tuple[tuple[float, ...], ...],
) -> CheckedSample:
    return CheckedSample(
        uid=sample.uid,
        env=sample.env,
        index=sample.index,
        step=sample.step,
        committed=committed,
        served=served,
        error=comparison.error,
        score=comparison.score,
        mismatch=comparison.mismatch,
    )


def _by_repeat(runs: Runs, sample: int) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in run[sample]) for run in runs)


def _differ(wrong: Sequence[CheckedSample], samples: int, tolerance: Decimal) -> str:
    worst = min(wrong, key=lambda each: each.score)
    error = "without bound" if worst.error is None else f"{worst.error:.3g}"
    return (
        f"{len(wrong)} of {samples} actions of the endpoint are not those of the committed code; the largest relative"
        f" error is {error}, allowed is {tolerance}, at step {worst.step} of {worst.env} #{worst.index}:"
        " serve the revision that is committed, or commit the one that is served"
    )


def _not_repeated(wrong: Sequence[CheckedSample], samples: int) -> str:
    return (
        f"the committed code states seeded = True, and gave other actions when it was asked the same again, in"
        f" {len(wrong)} of {samples} samples: draw from a generator that reset() makes from task_config, or do not"
        " state it"
    )


def _other_distribution(compared: ComparedActions) -> str:
    return (
        "the endpoint's actions are not distributed as those of the committed code:"
        f" p = {compared.p_value:.2g} over {len(compared.samples[0].served)} repeats, and an honest endpoint comes"
        f" below {compared.false_alarm_rate} that rarely: serve the revision that is committed"
    )
