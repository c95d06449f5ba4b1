"""Honest policies match what they committed to, altered ones do not, and each outcome says how it was found."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from consumers.verification.comparison import Comparison, Criterion, Runs, compare
from consumers.verification.distribution import FALSE_ALARM_RATE, p_value
from consumers.verification.measure import Channels
from events.verification import Method, Mismatch
from tests.consumers.verification.policies import Perceptron, backwards, observations, perceptron

TOLERANCE = 0.001
CHECKS = 200
ACTIONS = arrays.arrays(np.float64, 7, elements=st.floats(-1, 1))


def check(committed: Perceptron, served: Perceptron, seed: int, repeats: int = 1, samples: int = 5) -> Comparison:
    probes = observations(seed, samples)
    return compare(
        [committed.run(probes) for _ in range(repeats)],
        [served.run(probes) for _ in range(repeats)],
        criterion(samples),
        seed=seed,
    )


def criterion(samples: int = 1, channels: Channels = (6, 1), tolerance: float = TOLERANCE) -> Criterion:
    return Criterion(tolerance, [channels] * samples)


def compared(committed: Runs, served: Runs, channels: Channels = None) -> Comparison:
    return compare(committed, served, criterion(len(committed[0]), channels))


def one(action: object) -> list[list[np.ndarray]]:
    return [[np.asarray(action, np.float64)]]


@pytest.mark.parametrize(
    "oddities",
    [{}, {"memory": 0.5}, {"noise": 0.3, "episode": 7}],
    ids=["deterministic", "stateful", "seeded"],
)
def test_no_honest_policy_fails_on_other_arithmetic(oddities: dict[str, float]) -> None:
    for seed in range(CHECKS):
        policy, probes = perceptron(seed, **oddities), observations(seed)
        committed = [policy.run(probes), policy.run(probes)]
        served = [policy.as_type(np.float64).run(probes), policy.run(probes, backwards)]
        outcome = compare(committed, served, criterion(5))
        assert outcome.passed
        assert outcome.method is Method.BY_VALUE


def test_the_exchanges_are_the_same_for_ever_whatever_numpy_makes_of_its_generators() -> None:
    """As an auditor has to find the very p-value of an event."""
    one, two = np.arange(16.0).reshape(8, 2) ** 2, 30 + np.arange(16.0).reshape(8, 2) ** 1.5
    assert [p_value([one], [two], seed=seed) for seed in (0, 1, 2**64 - 1)] == [0.1489, 0.1538, 0.1541]


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("how", ["scaled", "jittered"])
@pytest.mark.parametrize(
    "oddities",
    [{}, {"memory": 0.5}, {"noise": 0.3, "episode": 7}],
    ids=["deterministic", "stateful", "seeded"],
)
def test_no_policy_passes_with_the_weights_of_one_layer_altered_by_a_hundredth(
    oddities: dict[str, float], how: str, layer: int
) -> None:
    for seed in range(CHECKS):
        policy = perceptron(seed, **oddities)
        random = np.random.default_rng([seed, 2])
        factors = 1.01 if how == "scaled" else 1 + 0.01 * random.normal(size=policy.weights[layer].shape)
        assert not check(policy, policy.with_altered_layer(layer, factors), seed).passed


def test_an_alteration_behind_a_saturated_output_is_not_seen() -> None:
    """What cannot be told apart: every action is at its bound, before and after."""
    policy = perceptron(1).with_altered_layer(2, 1e6)
    assert check(policy, policy.with_altered_layer(2, 1.01), 1).passed


def test_a_stochastic_policy_is_compared_by_distribution_and_says_so() -> None:
    policy = perceptron(1, noise=0.1)
    outcome = check(policy, policy, 1, repeats=8)
    assert outcome.passed
    assert (outcome.method, outcome.false_alarm_rate) == (Method.BY_DISTRIBUTION, FALSE_ALARM_RATE)


def test_a_stochastic_policy_that_acts_otherwise_fails() -> None:
    policy = perceptron(1, noise=0.1)
    outcome = check(policy, replace(perceptron(2), noise=0.1), 1, repeats=8)
    assert not outcome.passed
    assert {each.mismatch for each in outcome.samples} == {Mismatch.OTHER_DISTRIBUTION}


def test_an_altered_policy_hides_in_noise_of_its_own() -> None:
    """Why a policy should be seeded by the episode: noise of a tenth covers a change of a hundredth."""
    policy = perceptron(1, noise=0.1)
    assert check(policy, policy.with_altered_layer(1, 1.01), 1, repeats=8).passed


def test_an_endpoint_that_answers_at_random_does_not_choose_the_milder_test() -> None:
    outcome = check(perceptron(1), perceptron(1, noise=0.1), 1, repeats=8)
    assert (outcome.passed, outcome.method) == (False, Method.BY_VALUE)


def test_honest_stochastic_policies_have_p_values_as_the_false_alarm_rate_promises() -> None:
    random = np.random.default_rng(0)
    values = [
        p_value([random.normal(size=(8, 2))], [random.normal(size=(8, 2))], seed=seed) for seed in range(CHECKS)
    ]
    assert np.mean(np.array(values) <= 0.1) <= 0.1 + 4 * math.sqrt(0.1 * 0.9 / CHECKS)


def test_too_few_repeats_for_a_distribution_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 8 repeats or more a side, got 2 and 2"):
        check(perceptron(1, noise=0.1), perceptron(1, noise=0.1), 1, repeats=2)


@given(ACTIONS)
def test_an_action_matches_itself(action: np.ndarray) -> None:
    assert compared(one(action), one(action)).score == 1.0


@given(ACTIONS, ACTIONS)
def test_scores_are_between_0_and_1_and_1_is_a_pass(committed: np.ndarray, served: np.ndarray) -> None:
    outcome = compared(one(committed), one(served))
    assert 0 <= outcome.score <= 1
    assert outcome.passed == (outcome.score == 1)


def test_one_mismatch_in_five_fails() -> None:
    committed = [np.ones(2)] * 5
    outcome = compared([committed], [[*committed[:4], np.array([1.0, 1.002])]])
    assert not outcome.passed
    assert outcome.score == pytest.approx(0.9)
    assert [each.mismatch for each in outcome.samples] == [None] * 4 + [Mismatch.BEYOND_TOLERANCE]


@pytest.mark.parametrize(
    ("committed", "served", "mismatch"),
    [
        ([1.0], [1.0, 1.0], Mismatch.WRONG_SHAPE),
        ([1.0], [math.nan], Mismatch.NON_FINITE),
        ([math.inf], [math.inf], Mismatch.NON_FINITE),
        ([1.0], [1e308], Mismatch.BEYOND_TOLERANCE),
    ],
)
def test_what_is_wrong_is_named(committed: list[float], served: list[float], mismatch: Mismatch) -> None:
    outcome = compared(one(committed), one(served))
    assert not outcome.passed
    assert outcome.samples[0].mismatch is mismatch
    assert outcome.score < 1e-6


def test_the_same_comparison_has_the_same_outcome() -> None:
    probes = observations(1)
    runs = [
        [perceptron(1, noise=0.1, episode=repeat).run(probes) for repeat in range(8 * k, 8 * k + 8)] for k in (0, 1)
    ]
    assert compare(runs[0], runs[1], criterion(5), seed=3) == compare(runs[0], runs[1], criterion(5), seed=3)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance: expected a positive number"):
        compare(one([1.0]), one([1.0]), criterion(channels=(1,), tolerance=tolerance))


def test_runs_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 1 samples"):
        compared(one([1.0]), [[]])


def test_channels_for_another_number_of_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 2 samples"):
        compare(one([1.0]), one([1.0]), criterion(2, (1,)))


def test_a_hundredth_off_the_twist_alone_is_a_mismatch_by_channel_and_hidden_in_the_whole() -> None:
    committed = [0.05, -0.02, 0.01, 0.0, 0.0, 0.0, 1.0]
    served = [0.0505, -0.0202, 0.0101, 0.0, 0.0, 0.0, 1.0]
    assert compared(one(committed), one(served), None).passed
    [sample] = compared(one(committed), one(served), (6, 1)).samples
    assert sample.mismatch is Mismatch.BEYOND_TOLERANCE


def test_code_that_does_not_repeat_its_twist_beside_a_steady_gripper_is_not_deterministic() -> None:
    twists = 0.05 + 0.0001 * np.arange(8)
    runs = [[np.array([*[twist] * 6, 1.0])] for twist in twists]
    assert compared(runs, runs, None).method is Method.BY_VALUE
    assert compared(runs, runs, (6, 1)).method is Method.BY_DISTRIBUTION
