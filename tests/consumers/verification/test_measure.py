"""The relative error of an action: of each channel for itself, or, as in old plans, of all values together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from consumers.verification.measure import FLOOR, Channels, channels_of, magnitudes, relative_error
from events.ids import EnvId
from events.verification import Measure
from sim.errors import UnknownEnvironment

ARM = (6, 1)
ACTIONS = arrays.arrays(np.float64, 7, elements=st.floats(-1, 1))
SPLIT = st.sampled_from([None, ARM, (1, 6), (2, 3, 2), (1,) * 7])
TOLERANCE = 0.001


def test_a_channel_is_measured_beside_itself() -> None:
    """A hundredth of a small twist, beside a gripper of 1 that is right."""
    committed, served = np.array([0.05] * 6 + [1.0]), np.array([0.0505] * 6 + [1.0])
    assert relative_error(committed, served, ARM) == pytest.approx(0.01)
    assert relative_error(committed, served, None) == pytest.approx(0.0005)


def test_the_error_is_that_of_the_worst_channel() -> None:
    committed = np.array([0.5] * 6 + [0.1])
    assert relative_error(committed, np.array([0.5] * 6 + [0.102]), ARM) == pytest.approx(0.02)
    assert relative_error(committed, np.array([0.55] * 6 + [0.102]), ARM) == pytest.approx(0.1)


@pytest.mark.parametrize("committed", [[0.0] * 6 + [1.0], [1e-7, -3e-7, 0, 0, 0, 0, 1.0], [1.0] * 6 + [0.0]])
def test_machines_that_differ_in_the_last_places_near_zero_agree(committed: list[float]) -> None:
    """About as much as sums of float32 of size 1 that cancel each other."""
    action = np.array(committed)
    assert relative_error(action, action + 1e-6 * np.array([1, -1, 1, -1, 1, -1, 1]), ARM) < TOLERANCE / 5


def test_the_error_of_a_channel_near_zero_is_beside_the_floor() -> None:
    assert relative_error(np.zeros(7), np.array([0.0] * 6 + [1e-6]), ARM) == pytest.approx(1e-6 / FLOOR)


def test_a_value_near_zero_is_measured_beside_the_largest_of_its_channel() -> None:
    assert relative_error(np.array([0.5, 1e-9]), np.array([0.5, 0.001]), (2,)) == pytest.approx(0.002)


@given(ACTIONS, ACTIONS, st.permutations(range(6)))
def test_the_order_of_the_values_of_a_channel_changes_no_error(
    committed: np.ndarray, served: np.ndarray, order: list[int]
) -> None:
    order = [*order, 6]
    assert relative_error(committed[order], served[order], ARM) == relative_error(committed, served, ARM)


@given(ACTIONS, ACTIONS)
def test_the_order_of_the_channels_changes_no_error(committed: np.ndarray, served: np.ndarray) -> None:
    rolled = relative_error(np.roll(committed, 1), np.roll(served, 1), (1, 6))
    assert rolled == relative_error(committed, served, ARM)


@given(ACTIONS, ACTIONS, SPLIT)
def test_by_channel_is_never_less_than_by_the_whole(
    committed: np.ndarray, served: np.ndarray, channels: Channels
) -> None:
    assert relative_error(committed, served, channels) >= relative_error(committed, served, None)


@given(ACTIONS, ACTIONS, SPLIT)
def test_it_is_the_largest_of_the_channels_errors(
    committed: np.ndarray, served: np.ndarray, channels: Channels
) -> None:
    ends = np.cumsum(channels or (7,))[:-1]
    each = zip(np.split(committed, ends), np.split(served, ends), strict=True)
    assert relative_error(committed, served, channels) == max(relative_error(one, two, None) for one, two in each)


@given(ACTIONS, ACTIONS)
def test_an_action_of_one_channel_has_the_same_error_by_both(committed: np.ndarray, served: np.ndarray) -> None:
    assert relative_error(committed, served, (7,)) == relative_error(committed, served, None)


@given(ACTIONS, ACTIONS)
def test_the_old_measure_is_to_the_bit_what_it_was(committed: np.ndarray, served: np.ndarray) -> None:
    """An audit finds the very error of an event."""
    was = float(np.max(np.abs(served - committed)) / max(float(np.max(np.abs(committed))), FLOOR))
    assert relative_error(committed, served, None) == was


@given(ACTIONS, SPLIT, st.floats(0, 0.1), st.floats(0, 0.1))
def test_a_larger_difference_is_no_smaller_error(
    action: np.ndarray, channels: Channels, one_step: float, two_step: float
) -> None:
    near, far = sorted((one_step, two_step))
    errors = [relative_error(action, action + step, channels) for step in (near, far)]
    assert errors[0] <= errors[1] + 1e-12


def test_an_action_of_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected channels of \[6, 1\] values, got an array of shape \(4,\)"):
        relative_error(np.zeros(4), np.zeros(4), ARM)


def test_an_action_without_values_has_no_magnitudes() -> None:
    assert relative_error(np.zeros(0), np.zeros(0), None) == 0.0
    with pytest.raises(ValueError, match="expected channels"):
        magnitudes(np.zeros(0), None)


@pytest.mark.parametrize(
    ("env", "channels"),
    [("metaworld/reach-v3", ARM), ("control/reacher-v1", None), ("control/cart-pole-balance-v1", None)],
)
def test_the_channels_are_those_of_the_environment(env: str, channels: Channels) -> None:
    assert channels_of(Measure.BY_CHANNEL, EnvId(env)) == channels


def test_the_whole_action_is_one_channel_of_whatever_environment() -> None:
    assert channels_of(Measure.WHOLE_ACTION, EnvId("gone/long-ago-v1")) is None
    with pytest.raises(UnknownEnvironment):
        channels_of(Measure.BY_CHANNEL, EnvId("gone/long-ago-v1"))
