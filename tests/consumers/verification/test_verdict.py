"""What came out, as an event says it; and the same again from the event alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from consumers.verification.comparison import Criterion, Runs, compare
from consumers.verification.evaluated import OwnSample, evaluated
from consumers.verification.fetcher import SnapshotFile
from consumers.verification.measure import Channels, relative_error
from consumers.verification.probes import Sampled, flattened
from consumers.verification.verdict import Failed, Passed, compared_actions, compared_again, found
from consumers.verification.weights import weight_files
from events.ids import EnvId, Uid
from events.verification import FILES_MAX, ComparedActions, FailureReason, Measure, Method, Mismatch, Undecided
from sim.rl_interface import Action
from sim.spec import ARM_ACTION
from sim.suite import native_map
from tests.controls.spot_checks import own_sample

REACH = EnvId("metaworld/reach-v3")
CART_POLE = EnvId("control/cart-pole-balance-v1")
ENVIRONMENTS = (REACH, CART_POLE, REACH)
"""Of 7, 1 and 7 values."""
ARM = (6, 1)
TOLERANCE = Decimal("0.001")


def actions(seed: int, *, repeats: int = 1, noise: float = 0.0, factor: float = 1.0) -> Runs:
    """By repeat, then by three samples of 7, 1 and 7 values."""
    means = [np.random.default_rng(seed + size).uniform(-1, 1, size) for size in (7, 1, 7)]
    random = np.random.default_rng([seed, repeats])
    return [
        [(factor * mean + noise * random.normal(size=mean.shape)).astype(np.float32) for mean in means]
        for _ in range(repeats)
    ]


def said(committed: Runs, served: Runs, *, seeded: bool = False, own: OwnSample | None = None) -> ComparedActions:
    samples = [(Sampled(Uid(n), env, n, 3 * n), None if n else own) for n, env in enumerate(ENVIRONMENTS)]
    return compared_actions(
        samples, committed, served, tolerance=TOLERANCE, measure=Measure.BY_CHANNEL, seed=7, seeded=seeded
    )


def own(*, factor: float = 1.0, undecided: Undecided | None = None) -> OwnSample:
    """Of the first sample of `actions(1)`, by a policy without a memory."""
    action = actions(1)[0][0]
    return own_sample(native_map(REACH).native(factor * action), action, undecided)


def keeping_state() -> OwnSample:
    otherwise = own().otherwise
    assert otherwise is not None
    return replace(own(factor=1.01), otherwise=replace(otherwise, after_others=-otherwise.alone))


def told_elsewhere() -> OwnSample:
    otherwise = own().otherwise
    assert otherwise is not None
    return replace(own(factor=1.01), otherwise=replace(otherwise, elsewhere=(np.float32(1.01) * otherwise.alone,)))


CASES = {
    "the same then": said(actions(1, repeats=2), actions(1), own=own(factor=1.0005)),
    "another then": said(actions(1, repeats=2), actions(1), own=own(factor=1.01)),
    "another then and now": said(actions(1, repeats=2), actions(1, factor=1.01), own=own(factor=1.01)),
    "another then, elsewhere": said(
        actions(1, repeats=2), actions(1), own=own(factor=1.01, undecided=Undecided.OTHER_MACHINE)
    ),
    "another then, not asked": said(actions(1, repeats=2), actions(1), own=replace(own(factor=1.01), otherwise=None)),
    "another then, with a memory": said(actions(1, repeats=2), actions(1), own=keeping_state()),
    "another then, that of another environment": said(actions(1, repeats=2), actions(1), own=told_elsewhere()),
    "at random, another then": said(
        actions(1, repeats=8, noise=0.1), actions(1, repeats=8, noise=0.1), own=own(factor=1.01)
    ),
    "the same": said(actions(1, repeats=2), actions(1)),
    "another": said(actions(1, repeats=2), actions(1, factor=1.01)),
    "seeded": said(actions(1, repeats=2), actions(1), seeded=True),
    "seeded, and not": said(actions(1, repeats=2, noise=0.1), actions(1), seeded=True),
    "at random": said(actions(1, repeats=8, noise=0.1), actions(1, repeats=8, noise=0.1)),
    "at random, another": said(actions(1, repeats=8, noise=0.01), actions(5, repeats=8, noise=0.01)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_comparison_follows_from_the_actions_in_the_event(case: str) -> None:
    stored = ComparedActions.model_validate_json(CASES[case].model_dump_json())
    assert compared_again(stored, tolerance=TOLERANCE, measure=Measure.BY_CHANNEL, seed=7) == CASES[case]


@pytest.mark.parametrize(
    ("case", "reason", "method"),
    [
        ("the same", None, Method.BY_VALUE),
        ("the same then", None, Method.BY_VALUE),
        ("another then", FailureReason.EVALUATION_DIFFERS, Method.BY_VALUE),
        ("another then and now", FailureReason.ACTIONS_DIFFER, Method.BY_VALUE),
        ("another then, elsewhere", None, Method.BY_VALUE),
        ("another then, not asked", None, Method.BY_VALUE),
        ("another then, with a memory", None, Method.BY_VALUE),
        ("another then, that of another environment", None, Method.BY_VALUE),
        ("at random, another then", None, Method.BY_DISTRIBUTION),
        ("seeded", None, Method.BY_VALUE),
        ("at random", None, Method.BY_DISTRIBUTION),
        ("another", FailureReason.ACTIONS_DIFFER, Method.BY_VALUE),
        ("seeded, and not", FailureReason.NOT_REPEATED, Method.BY_VALUE),
        ("at random, another", FailureReason.ACTIONS_DIFFER, Method.BY_DISTRIBUTION),
    ],
)
def test_each_comparison_means_one_thing(case: str, reason: FailureReason | None, method: Method) -> None:
    assert CASES[case].method is method
    finding = found(CASES[case], TOLERANCE)
    if reason is None:
        assert finding == Passed(CASES[case])
    else:
        assert isinstance(finding, Failed)
        assert finding.reason is reason


def test_an_action_that_is_within_the_tolerance_now_was_so_in_the_simulator() -> None:
    """A native gripper moves twice as far, around zero: that is no larger error."""
    half = np.array([0, 0, 0, 0, 0, 0, 0.5], np.float32)
    almost = half + np.array([0, 0, 0, 0, 0, 0, 0.0004], np.float32)
    then = own_sample(native_map(REACH).native(almost), half)
    judged = evaluated(then, REACH, half, ARM, by_value=True)
    assert judged.error == pytest.approx(relative_error(half, almost, ARM), rel=1e-3)
    assert judged.error < TOLERANCE


TWISTED = np.array([0.05, -0.02, 0.01, 0, 0, 0, 1], np.float32)
OFF = np.array([1.01] * 6 + [1], np.float32) * TWISTED
"""A hundredth off the twist alone."""


@pytest.mark.parametrize(("channels", "error"), [(ARM, 0.01), (None, 0.0005)])
def test_a_twist_that_was_off_in_the_evaluation_is_measured_beside_its_channels(
    channels: Channels, error: float
) -> None:
    then = own_sample(native_map(REACH).native(OFF), TWISTED)
    assert evaluated(then, REACH, TWISTED, channels, by_value=True).error == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(
    ("measure", "reason"), [(Measure.WHOLE_ACTION, None), (Measure.BY_CHANNEL, FailureReason.ACTIONS_DIFFER)]
)
def test_what_a_twist_that_is_off_comes_to_follows_from_the_measure(
    measure: Measure, reason: FailureReason | None
) -> None:
    samples = [(Sampled(Uid(1), REACH, 0, 0), None)]
    compared = compared_actions(
        samples, [[TWISTED]] * 2, [[OFF]], tolerance=TOLERANCE, measure=measure, seed=7, seeded=False
    )
    finding = found(compared_again(compared, tolerance=TOLERANCE, measure=measure, seed=7), TOLERANCE)
    assert (finding.reason if isinstance(finding, Failed) else None) == reason


@pytest.mark.parametrize("values", [(), (0.25,) * 8])
def test_actions_that_are_none_of_the_environment_are_refused(values: tuple[float, ...]) -> None:
    sample = CASES["the same"].samples[2]
    forged = CASES["the same"].model_copy(
        update={"samples": (sample.model_copy(update={"committed": (values,) * 2, "served": (values,)}),)}
    )
    with pytest.raises(ValueError, match=r"expected channels of \[6, 1\]"):
        compared_again(forged, tolerance=TOLERANCE, measure=Measure.BY_CHANNEL, seed=7)


def test_a_sample_is_as_bad_as_its_worst_repeat() -> None:
    committed, good, bad = actions(1, repeats=2), actions(1)[0], actions(1, factor=1.01)[0]
    [first, *_] = said(committed, [good, bad, good]).samples
    assert first.error == pytest.approx(0.01, rel=1e-3)
    assert first.mismatch is Mismatch.BEYOND_TOLERANCE
    assert len(first.served) == 3


def test_what_states_that_it_is_seeded_is_compared_by_value_however_it_answers() -> None:
    criterion = Criterion.of(Measure.BY_CHANNEL, TOLERANCE, ENVIRONMENTS)
    comparison = compare(actions(1, repeats=2, noise=0.1), actions(1, repeats=8, noise=0.1), criterion, seeded=True)
    assert comparison.method is Method.BY_VALUE
    assert {each.mismatch for each in comparison.samples} == {Mismatch.NOT_REPEATED}
    assert not comparison.passed


def test_channels_stand_by_name_and_what_is_left_out_is_zero() -> None:
    action = Action({"gripper": np.array([0.5], np.float32)})
    assert flattened(action, ARM_ACTION).tolist() == [0.0] * 6 + [0.5]


def test_weights_are_large_files_that_are_no_text_the_largest_first() -> None:
    names = [
        "policy.py",
        "LICENSE",
        ".gitattributes",
        "config.json",
        "film.mp4",
        "small.bin",
        "a.safetensors",
        "b.pt",
    ]
    sizes = [4000, 11_000, 1500, 2000, 9000, 1023, 1024, 70_000]
    files = [SnapshotFile(name, size, f"{n:064x}") for n, (name, size) in enumerate(zip(names, sizes, strict=True))]
    assert [each.name for each in weight_files(files)] == ["b.pt", "a.safetensors"]


def test_so_many_weights_are_named_and_no_more() -> None:
    files = [SnapshotFile(f"{n}.bin", 5000 + n, f"{n:064x}") for n in range(FILES_MAX + 4)]
    assert [each.size for each in weight_files(files)] == [5000 + n for n in range(FILES_MAX + 3, 3, -1)]
