"""The check of the spot checks: who was drawn, with which samples, and what the recorded actions amount to. Pure.

It is derived again from the plan, the revealed secret, the outcomes and the actions that both sides gave. What took
place on a verifier's machine - what was downloaded, that these were the answers - nobody can know afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple, cast

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from consumers.scoring.drawn import material_of, not_as_drawn
from consumers.verification.limits import REPEATS_BY_DISTRIBUTION, REPEATS_BY_VALUE
from consumers.verification.verdict import Failed, Passed, compared_again, found
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.draws import PROBES_PER_SAMPLE, Candidate, Probe, comparison_seed, probes
from events.ids import EnvId, Uid
from events.seeds import SeedMaterial
from events.verification import (
    ComparedActions,
    FailureReason,
    InconclusiveReason,
    Method,
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
    VerificationTerms,
)
from sim.errors import UnknownEnvironment

_COMPARED = frozenset({FailureReason.ACTIONS_DIFFER, FailureReason.EVALUATION_DIFFERS, FailureReason.NOT_REPEATED})
"""For what a miner fails only by a comparison."""


class _Sample(NamedTuple):
    uid: Uid
    env: EnvId
    episode: int
    step: int

    def __str__(self) -> str:
        return f"step {self.step} of {self.env} #{self.episode} of uid {self.uid}"


def check_spot_checks(fold: CycleFold, plan: CyclePlanned) -> Verdict | None:
    """Whether the right miners were checked, rightly; None where the plan has none checked, and none was."""
    started = perf_counter()
    if plan.verification is None and not fold.checks:
        return None
    difference = next(_differences(fold, plan), None)
    return Verdict.of(Name.CHECKS, difference, _agreed(fold, plan), perf_counter() - started)


def _agreed(fold: CycleFold, plan: CyclePlanned) -> str:
    checks = [placed.recorded.event for placed in fold.checks.values()]
    kinds = (
        ("passed", VerificationPassed),
        ("failed", VerificationFailed),
        ("inconclusive", VerificationInconclusive),
    )
    ended = ", ".join(f"{sum(isinstance(it, kind) for it in checks)} {name}" for name, kind in kinds)
    agreed = f"{len(checks)} of {len(plan.roster)} miners, as drawn: {ended}"
    suspended = plan.verification.suspended if plan.verification else ()
    if not suspended:
        return agreed
    cycles = ", ".join(str(cycle) for cycle in sorted({it.failed_in for it in suspended}))
    return f"{agreed}; that {len(suspended)} stood suspended is not in these events: see cycle {cycles}"


def _differences(fold: CycleFold, plan: CyclePlanned) -> Iterator[Difference]:
    end = cast("CycleSealed | CycleAbandoned", cast("Placed", fold.end).recorded.event)
    seed = fold.one.get(CycleSeeded)
    is_sealed = isinstance(end, CycleSealed)  # a cycle that is abandoned checks nobody
    seeded = cast("CycleSeeded", seed.recorded.event) if seed and is_sealed else None
    checks = [_outcome(placed) for placed in fold.checks.values()]
    for it in not_as_drawn(plan, seeded, end.secret, checks):
        where = fold.checks[it.uid].line.where if it.uid in fold.checks else "the spot checks"
        yield Difference(f"{where}, uid {it.uid}", it.expected, it.found)
    if plan.verification is None or seeded is None:
        return
    again = _Again(fold, plan.verification, material_of(seeded, end.secret))
    for placed in fold.checks.values():
        yield from again.differences(placed)


def _outcome(placed: Placed) -> VerificationOutcome:
    return cast("VerificationOutcome", placed.recorded.event)


class _Again:
    """The checks of one cycle, made once more from what their events hold."""

    def __init__(self, fold: CycleFold, terms: VerificationTerms, material: SeedMaterial) -> None:
        self._fold, self._terms, self._material = fold, terms, material

    def differences(self, placed: Placed) -> Iterator[Difference]:
        check, where = _outcome(placed), placed.line.where
        candidate = Candidate(check.uid, check.hotkey)
        drawn = self._drawn(candidate)
        if not drawn and not _is_without_recordings(check):
            yield Difference(where, "no check without a recorded episode", check.type)
        yield from _parts_differ(check, where)
        if isinstance(check, VerificationInconclusive):
            return
        if (compared := check.compared) is None:
            return
        yield from _repeats_differ(compared, where)
        yield from self._samples_differ(compared, drawn, where)
        yield from _own_differ(compared, check, where)
        try:
            seed = comparison_seed(self._material, candidate)
            terms = self._terms
            expected = compared_again(compared, tolerance=terms.tolerance, measure=terms.measure, seed=seed)
        except (ValueError, UnknownEnvironment) as error:
            yield Difference(where, "actions that can be compared", str(error)[:300])
            return
        yield from _compared_differ(expected, compared, where)
        yield from _verdict_differs(found(expected, self._terms.tolerance), check, where)

    def _drawn(self, candidate: Candidate) -> tuple[Probe, ...]:
        """Miner by miner, so that only one's recordings are held: those that come first of all come first of some."""
        assert self._fold.episodes is not None, "there is a plan"
        chosen: tuple[Probe, ...] = ()
        for recordings in self._fold.episodes.recordings():
            known = [probe.recording for probe in chosen]
            count = PROBES_PER_SAMPLE * self._terms.samples
            chosen = probes(self._material, candidate, [*known, *recordings], count)
        return chosen

    def _samples_differ(
        self, compared: ComparedActions, drawn: tuple[Probe, ...], where: str
    ) -> Iterator[Difference]:
        samples = [_Sample(it.uid, it.env, it.index, it.step) for it in compared.samples]
        if len(samples) > self._terms.samples:
            yield Difference(where, f"at most {self._terms.samples} samples", str(len(samples)))
        ahead = iter([_Sample(it.recording.uid, it.recording.env, it.recording.index, it.step) for it in drawn])
        for number, sample in enumerate(samples):
            if sample not in ahead:  # which takes from it all before
                expected = f"one of the {len(drawn)} probes that are drawn, in their order"
                yield Difference(f"{where}, sample {number}", expected, str(sample))
                return


def _own_differ(compared: ComparedActions, check: VerificationOutcome, where: str) -> Iterator[Difference]:
    """What a miner did in the evaluation is told of its own episodes, and of these always."""
    for number, it in enumerate(compared.samples):
        told = "none" if it.evaluated is None else "one"
        expected = "one" if it.uid == check.uid else "none"
        if told != expected:
            yield Difference(f"{where}, evaluated action of sample {number}", expected, told)


def _is_without_recordings(check: VerificationOutcome) -> bool:
    return isinstance(check, VerificationInconclusive) and check.reason is InconclusiveReason.NO_RECORDINGS


def _parts_differ(check: VerificationOutcome, where: str) -> Iterator[Difference]:
    """Whether the event has what its reason tells, and nothing more."""
    if check.committed and not check.committed.commit.startswith(check.revision):
        yield Difference(where, f"a commit that begins with {check.revision}", check.committed.commit)
    if not isinstance(check, VerificationFailed):
        return
    is_fetched = check.reason is not FailureReason.REPOSITORY_REFUSED
    expected = {"committed": is_fetched, "sandbox": is_fetched, "compared": check.reason in _COMPARED}
    for name, is_told in expected.items():
        if (getattr(check, name) is not None) is not is_told:
            word, other = ("some", "none") if is_told else ("none", "some")
            yield Difference(f"{where}, {name}", f"{word}, as the reason is {check.reason}", other)


def _repeats_differ(compared: ComparedActions, where: str) -> Iterator[Difference]:
    by_value = compared.method is Method.BY_VALUE
    expected = (REPEATS_BY_VALUE, 1) if by_value else (REPEATS_BY_DISTRIBUTION, REPEATS_BY_DISTRIBUTION)
    for number, it in enumerate(compared.samples):
        if (found := (len(it.committed), len(it.served))) != expected:
            yield Difference(f"{where}, repeats of sample {number}", _sides(expected), _sides(found))


def _sides(repeats: tuple[int, int]) -> str:
    return f"{repeats[0]} committed and {repeats[1]} served"


def _compared_differ(expected: ComparedActions, actual: ComparedActions, where: str) -> Iterator[Difference]:
    for name in ComparedActions.model_fields:
        if name != "samples" and getattr(expected, name) != getattr(actual, name):
            yield Difference(f"{where}, {name}", str(getattr(expected, name)), str(getattr(actual, name)))
    for number, (should, does) in enumerate(zip(expected.samples, actual.samples, strict=True)):
        for name in type(should).model_fields:
            if getattr(should, name) != getattr(does, name):
                what = f"{where}, {name} of sample {number}"
                yield Difference(what, str(getattr(should, name))[:300], str(getattr(does, name))[:300])


def _verdict_differs(
    follows: Passed | Failed, check: VerificationPassed | VerificationFailed, where: str
) -> Iterator[Difference]:
    if isinstance(follows, Passed) is not isinstance(check, VerificationPassed):
        expected = VerificationPassed.type if isinstance(follows, Passed) else VerificationFailed.type
        yield Difference(where, f"{expected}, as the actions have it", check.type)
    elif isinstance(follows, Failed) and isinstance(check, VerificationFailed) and follows.reason != check.reason:
        yield Difference(f"{where}, reason", follows.reason, check.reason)
