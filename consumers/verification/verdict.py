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
from typing import Any

import numpy as np

from consumers.verification.comparison import Comparison, Criterion, Runs, SampleComparison, compare
from consumers.verification.evaluated import OwnSample, evaluated, own_sample
from consumers.verification.measure import Actions, Channels
from consumers.verification.probes import Sampled
from events.ids import EnvId
from events.verification import (
    CheckedSample,
    ComparedActions,
    FailureReason,
    InconclusiveReason,
    Measure,
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
    now = [each for each in wrong if each.mismatch is not Mismatch.EVALUATION_DIFFERS]
    if not now:
        return Failed(FailureReason.EVALUATION_DIFFERS, _differed(wrong, compared, tolerance), compared)
    if compared.method is Method.BY_DISTRIBUTION:
        return Failed(FailureReason.ACTIONS_DIFFER, _other_distribution(compared), compared)
    return Failed(FailureReason.ACTIONS_DIFFER, _differ(now, len(compared.samples), tolerance), compared)


def compared_actions(
    samples: Sequence[tuple[Sampled, OwnSample | None]],
    committed: Runs,
    served: Runs,
    *,
    tolerance: Decimal,
    measure: Measure,
    seed: int,
    seeded: bool,
) -> ComparedActions:
    """Compares the runs, and says it as an event does: a sample by its worst repeat. Then its evaluation, if any.

    Raises:
        ValueError: as `compare`, or these are no actions of their environment.
        UnknownEnvironment: of a miner's own sample; by channel, of any.
    """
    criterion = Criterion.of(measure, tolerance, [sample.env for sample, _ in samples])
    comparison = compare(committed, served, criterion, seed=seed, seeded=seeded)
    return ComparedActions(
        method=comparison.method,
        seeded=seeded,
        score=comparison.score,
        p_value=comparison.p_value,
        false_alarm_rate=comparison.false_alarm_rate,
        samples=tuple(
            CheckedSample(
                uid=sample.uid,
                env=sample.env,
                index=sample.index,
                step=sample.step,
                committed=_by_repeat(committed, number),
                served=_by_repeat(served, number),
                **_judged(comparison, number, sample.env, own, committed[0][number], criterion.channels[number]),
            )
            for number, (sample, own) in enumerate(samples)
        ),
    )


def compared_again(compared: ComparedActions, *, tolerance: Decimal, measure: Measure, seed: int) -> ComparedActions:
    """The same, once more, from nothing but the actions that an event holds.

    Raises:
        ValueError: the samples have different numbers of repeats, as no comparison has, or are no actions.
        UnknownEnvironment: of a miner's own sample; by channel, of any.
    """
    samples = [
        (Sampled(each.uid, each.env, each.index, each.step), own_sample(each.evaluated) if each.evaluated else None)
        for each in compared.samples
    ]
    committed, served = (
        [[np.array(action, np.float32) for action in run] for run in zip(*sides, strict=True)]
        for sides in ([each.committed for each in compared.samples], [each.served for each in compared.samples])
    )
    return compared_actions(
        samples, committed, served, tolerance=tolerance, measure=measure, seed=seed, seeded=compared.seeded
    )


def _worst(comparison: Comparison, sample: int) -> SampleComparison:
    return min((each for each in comparison.samples if each.sample == sample), key=lambda each: each.score)


def _judged(
    comparison: Comparison, number: int, env: EnvId, own: OwnSample | None, committed: Actions, channels: Channels
) -> dict[str, Any]:
    """What a sample comes to: what is served now comes first."""
    worst = _worst(comparison, number)
    by_value = comparison.method is Method.BY_VALUE
    then = None if own is None else evaluated(own, env, committed, channels, by_value=by_value)
    differed = then is not None and then.undecided is None and then.error > comparison.tolerance
    mismatch = worst.mismatch or (Mismatch.EVALUATION_DIFFERS if differed else None)
    return {"error": worst.error, "score": worst.score, "mismatch": mismatch, "evaluated": then}


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


def _differed(wrong: Sequence[CheckedSample], compared: ComparedActions, tolerance: Decimal) -> str:
    own = [(each.evaluated, each) for each in compared.samples if each.evaluated and not each.evaluated.undecided]
    worst, sample = max(((then, each) for then, each in own if each in wrong), key=lambda it: it[0].error)
    return (
        f"the endpoint acts as the committed code now, but did not in the evaluation: {len(wrong)} of {len(own)}"
        f" recorded actions are not those of the committed code; at step {sample.step} of {sample.env}"
        f" #{sample.index} it gave {_shown(worst.given)}, where the committed code gives {_shown(worst.committed)};"
        f" the relative error is {worst.error:.3g}, allowed is {tolerance}: serve the revision that is committed for"
        " as long as a cycle runs"
    )


def _shown(action: Sequence[float]) -> str:
    return " ".join(f"{value:.3g}" for value in action)


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
