"""Cycles whose miners are spot-checked: who is drawn, with which samples and what comes of it, all true."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

import numpy as np

from consumers.scoring.drawn import material_of
from consumers.verification.evaluated import Otherwise, OwnSample
from consumers.verification.measure import Actions
from consumers.verification.probes import Evaluation, Sampled
from consumers.verification.verdict import Failed, compared_actions, found
from events.cycles import CyclePlanned
from events.draws import PROBES_PER_SAMPLE, Candidate, Recording, comparison_seed, probes, to_be_checked
from events.episodes import EpisodeCompleted, EpisodeOutcome
from events.ids import Uid
from events.verification import (
    ComparedActions,
    InconclusiveReason,
    Undecided,
    VerificationFailed,
    VerificationOutcome,
    VerificationPassed,
)
from sim.suite import native_map
from tests.controls import facts

CHANNELS = 7


def compared(
    plan: CyclePlanned,
    outcomes: Sequence[EpisodeOutcome],
    uid: Uid,
    *,
    differ: bool = False,
    stochastic: bool = False,
    seeded: bool = False,
    differed: bool = False,
) -> ComparedActions:
    """A comparison of this miner, with the first probes that are drawn; `differ`: the endpoint does other things.

    `differed`: it did other things in the evaluation.
    """
    assert plan.verification is not None
    material = material_of(facts.seeded(plan.cycle), facts.SECRET.hex())
    candidate = Candidate(uid, facts.hotkey(uid))
    recordings = [
        Recording(it.env, it.index, it.uid, it.steps)
        for it in outcomes
        if isinstance(it, EpisodeCompleted) and it.steps
    ]
    count = plan.verification.samples
    drawn = probes(material, candidate, recordings, PROBES_PER_SAMPLE * count)[:count]
    samples = [Sampled(it.recording.uid, it.recording.env, it.recording.index, it.step) for it in drawn]
    rng = np.random.default_rng(uid)
    actions = rng.uniform(-1, 1, (len(samples), CHANNELS))

    def run(shift: float) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        drawn_anew = rng.normal(0, 0.05, actions.shape) if stochastic else 0.0
        return [action.astype(np.float32) for action in actions + drawn_anew + shift]

    by_distribution = stochastic and not seeded
    committed = [run(0) for _ in range(8 if by_distribution else 2)]
    served = [run(0.5 if differ else 0) for _ in range(8 if by_distribution else 1)]
    seed = comparison_seed(material, candidate)
    given = committed[0] if not differed else run(0.5)
    own = [
        own_sample(native_map(it.env).native(then), action) if it.uid == uid else None
        for it, then, action in zip(samples, given, committed[0], strict=True)
    ]
    return compared_actions(
        list(zip(samples, own, strict=True)),
        committed,
        served,
        tolerance=plan.verification.tolerance,
        measure=plan.verification.measure,
        seed=seed,
        seeded=seeded,
    )


def own_sample(given: Actions, committed: Actions, undecided: Undecided | None = None) -> OwnSample:
    """Of code that is not moved by how it is asked."""
    return OwnSample(Evaluation(given, undecided), Otherwise(committed, committed, (committed,)))


def passed(plan: CyclePlanned, uid: Uid, comparison: ComparedActions) -> VerificationPassed:
    return facts.verification_passed(plan.cycle, uid).model_copy(update={"compared": comparison})


def failed(plan: CyclePlanned, uid: Uid, comparison: ComparedActions) -> VerificationFailed:
    finding = found(comparison, plan.verification.tolerance if plan.verification else Decimal(1))
    assert isinstance(finding, Failed)
    update = {"reason": finding.reason, "detail": finding.detail, "compared": comparison}
    return facts.verification_failed(plan.cycle, uid).model_copy(update=update)


def checks_of(
    plan: CyclePlanned,
    outcomes: Sequence[EpisodeOutcome],
    *,
    failing: Collection[int] = (),
    inconclusive: Collection[int] = (),
) -> list[VerificationOutcome]:
    """One for each miner that is to be checked, by uid: all pass but these."""
    checks: list[VerificationOutcome] = []
    material = material_of(facts.seeded(plan.cycle), facts.SECRET.hex())
    for uid in (each.uid for each in to_be_checked(plan, material)):
        if uid in inconclusive:
            reason = InconclusiveReason.NO_SANDBOX
            checks.append(facts.verification_inconclusive(plan.cycle, uid, reason=reason))
        elif uid in failing:
            checks.append(failed(plan, uid, compared(plan, outcomes, uid, differ=True)))
        else:
            checks.append(passed(plan, uid, compared(plan, outcomes, uid)))
    return checks
