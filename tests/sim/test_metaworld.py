from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import STATE_1
from sim.environment import Environment
from sim.rl_interface import Action
from sim.suite import make
from tests.sim.in_process import NOTHING, twist

CONTROL_TIMESTEP_S = 0.0125
REACH = EnvId("metaworld/reach-v3")


@pytest.fixture
def reach() -> Iterator[Environment]:
    environment = make(REACH, STATE_1, max_steps=500)
    yield environment
    environment.close()


def test_an_episode_can_be_longer_than_metaworlds_own_limit() -> None:
    environment = make(REACH, STATE_1, max_steps=510)
    environment.reset(Seed(1))
    results = [environment.step(NOTHING) for _ in range(510)]
    assert [i for i, result in enumerate(results) if result.done] == [509]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_full_twist_moves_the_hand_along_its_axis_by_about_a_centimetre_a_step(axis: int) -> None:
    environment = make(REACH, STATE_1, max_steps=500)
    start = environment.reset(Seed(1)).proprio["ee_pos"]
    direction = [0.0, 0.0, 0.0]
    direction[axis] = 0.5
    for _ in range(10):
        observation = environment.step(twist(*direction)).observation
    moved = observation.proprio["ee_pos"] - start
    assert 0.02 < moved[axis] < 0.06
    assert np.abs(np.delete(moved, axis)).max() < 0.01


def test_one_closes_the_gripper_and_zero_opens_it(reach: Environment) -> None:
    def gripper_after(action: Action) -> float:
        for _ in range(20):
            observation = reach.step(action).observation
        return float(observation.proprio["gripper"][0])

    reach.reset(Seed(1))
    closed = gripper_after(twist(gripper=1))
    opened = gripper_after(twist(gripper=0))
    assert closed > 0.5
    assert opened < 0.1


def test_missing_channels_mean_no_motion_and_an_open_gripper(reach: Environment) -> None:
    assert reach.native_action(NOTHING).tolist() == [0, 0, 0, -1]


def test_the_angular_part_of_the_twist_is_ignored(reach: Environment) -> None:
    action = Action({"ee_twist": np.array([0.25, 0, 0, 1, -1, 1], np.float32)})
    assert reach.native_action(action).tolist() == [0.25, 0, 0, -1]


def test_the_velocity_is_that_of_the_hand(reach: Environment) -> None:
    previous = reach.reset(Seed(1)).proprio["ee_pos"]
    for _ in range(30):
        proprio = reach.step(twist(0.3, 0.2, 0.1)).observation.proprio
        measured = (proprio["ee_pos"] - previous) / CONTROL_TIMESTEP_S
        previous = proprio["ee_pos"]
    assert np.allclose(proprio["ee_vel_lin"], measured, atol=0.05)
    assert np.linalg.norm(measured) > 0.1


def test_the_orientation_is_a_unit_quaternion_of_a_hand_whose_x_axis_points_down(reach: Environment) -> None:
    from scipy.spatial.transform import Rotation

    quat_xyzw = reach.reset(Seed(1)).proprio["ee_quat"]
    assert np.linalg.norm(quat_xyzw) == pytest.approx(1, abs=1e-5)
    assert Rotation.from_quat(quat_xyzw).apply([1, 0, 0])[2] < -0.95
