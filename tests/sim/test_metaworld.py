from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import STATE_1
from sim.environment import Environment
from sim.errors import InvalidAction, SimulationFailed
from sim.metaworld.environment import MetaWorldEnvironment
from sim.rl_interface import Action
from sim.suite import DEFAULT_ENVIRONMENTS, make
from tests.sim.in_process import NOTHING, expert, run_expert, twist

CONTROL_TIMESTEP_S = 0.0125
REACH = EnvId("metaworld/reach-v3")
PICK_PLACE = EnvId("metaworld/pick-place-v3")


@pytest.fixture
def reach() -> Iterator[Environment]:
    environment = make(REACH, STATE_1, max_steps=500)
    yield environment
    environment.close()


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_a_reused_environment_gives_the_episode_of_a_fresh_one(env: EnvId) -> None:
    fresh = run_expert(make(env, STATE_1, max_steps=500), seed=11)
    reused = make(env, STATE_1, max_steps=500)
    for other_seed in (12, 13):
        run_expert(reused, other_seed)
    assert run_expert(reused, seed=11) == fresh


def test_an_abandoned_episode_leaves_no_trace_in_the_next() -> None:
    fresh = run_expert(make(PICK_PLACE, STATE_1, max_steps=500), seed=3)
    reused = make(PICK_PLACE, STATE_1, max_steps=500)
    reused.reset(Seed(4))
    for _ in range(30):
        reused.step(twist(1, 1, -1, gripper=1))
    assert run_expert(reused, seed=3) == fresh


def test_another_process_gives_the_same_episode() -> None:
    code = (
        "import hashlib, sys\n"
        "from sim.cameras import STATE_1\n"
        "from sim.suite import make\n"
        "from tests.sim.in_process import run_expert\n"
        "seen = run_expert(make('metaworld/pick-place-v3', STATE_1, max_steps=500), seed=7)\n"
        "print(hashlib.sha256(b'|'.join(seen)).hexdigest())\n"
    )
    import hashlib

    here = hashlib.sha256(b"|".join(run_expert(make(PICK_PLACE, STATE_1, max_steps=500), seed=7))).hexdigest()
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert there.stdout.strip() == here


def test_different_seeds_give_different_episodes(reach: Environment) -> None:
    reach.reset(Seed(1))
    first = dict(reach.variation)
    reach.reset(Seed(2))
    assert first.keys() == reach.variation.keys()
    assert first != dict(reach.variation)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_not_64_bit_is_refused(reach: Environment, seed: int) -> None:
    with pytest.raises(ValueError, match="64-bit"):
        reach.reset(Seed(seed))


def test_the_largest_seed_is_accepted(reach: Environment) -> None:
    reach.reset(Seed(2**64 - 1))
    assert len(reach.variation) == 6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_action_never_reaches_the_physics(reach: Environment, bad: float) -> None:
    reach.reset(Seed(1))
    reach.step(twist(1))
    before = reach.state_digest()
    with pytest.raises(InvalidAction, match="finite"):
        reach.step(twist(0, bad))
    assert reach.state_digest() == before


@pytest.mark.parametrize("native", [np.zeros(3, np.float32), np.zeros((1, 4), np.float32), np.zeros(4, np.float64)])
def test_an_action_of_another_shape_or_type_is_refused(reach: Environment, native: np.ndarray) -> None:
    reach.reset(Seed(1))
    with pytest.raises(InvalidAction, match="expected 4 float32"):
        reach.step_native(native)


def test_success_terminates_and_the_episode_cannot_go_on(reach: Environment) -> None:
    observation = reach.reset(Seed(1))
    while not (result := reach.step(expert(observation))).done:
        observation = result.observation
    assert (result.success, result.terminated, result.truncated) == (True, True, False)
    with pytest.raises(SimulationFailed, match="end of the episode"):
        reach.step(NOTHING)


@pytest.mark.parametrize("max_steps", [1, 7])
def test_the_step_limit_truncates(max_steps: int) -> None:
    environment = make(REACH, STATE_1, max_steps=max_steps)
    environment.reset(Seed(1))
    results = [environment.step(NOTHING) for _ in range(max_steps)]
    assert [result.truncated for result in results] == [False] * (max_steps - 1) + [True]
    assert not any(result.terminated or result.success for result in results)


def test_an_episode_can_be_longer_than_metaworlds_own_limit() -> None:
    environment = make(REACH, STATE_1, max_steps=510)
    environment.reset(Seed(1))
    results = [environment.step(NOTHING) for _ in range(510)]
    assert [i for i, result in enumerate(results) if result.done] == [509]


def test_a_step_before_the_first_reset_is_refused(reach: Environment) -> None:
    with pytest.raises(SimulationFailed, match="before reset"):
        reach.step(NOTHING)


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


def test_observations_follow_their_spec(reach: Environment) -> None:
    observation = reach.reset(Seed(1))
    spec = reach.observation_spec
    assert observation.proprio.keys() == spec.proprio.keys()
    for name, channel in spec.proprio.items():
        values = observation.proprio[name]
        assert (values.shape, values.dtype) == ((channel.size,), np.dtype(np.float32))
        assert ((channel.minimum <= values) & (values <= channel.maximum)).all()
    assert tuple(observation.extra) == spec.extra
    assert observation.extra["state"].shape == (39,)
    assert observation.extra["env_id"] == REACH


def test_physics_that_diverged_ends_the_episode_without_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = MetaWorldEnvironment(REACH, STATE_1, max_steps=500)
    environment.reset(Seed(1))
    environment._data.qvel[:] = 1e12
    result = environment.step(NOTHING)
    assert (result.terminated, result.truncated, result.success) == (True, False, False)
    assert os.listdir(tmp_path) == [], "MuJoCo writes its log file where nobody asked for it"
