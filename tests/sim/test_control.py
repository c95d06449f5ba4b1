"""The control tasks need skill, and end as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from events.ids import EnvId, Seed
from events.variation import NO_VARIATION, STANDARD, VariationRanges
from sim.cameras import RGB84_1, STATE_1
from sim.control.cart_pole import ANGLE_START_MIN_RAD, RAIL_END_M, Balance, CartPolePhysics
from sim.control.environment import TASKS, ControlEnvironment
from sim.control.family import CONTROL
from sim.control.reacher import REACH_MAX_M, REACH_MIN_M, START_DISTANCE_MIN_M, Reach, ReacherPhysics
from sim.environment import StepResult
from sim.experts import PolicyKind, decide
from sim.rendering.renderer import Renderer
from sim.rl_interface import Action, encode_act_request
from sim.suite import make

CART_POLE = EnvId("control/cart-pole-balance-v1")
REACHER = EnvId("control/reacher-v1")
SEEDS = [Seed(seed) for seed in range(20)]


def last_step(
    env: EnvId, seed: Seed, kind: PolicyKind | None, variation: VariationRanges = NO_VARIATION
) -> StepResult:
    """Of the episode of this policy; of one that never acts, where there is none."""
    environment = make(env, STATE_1, max_steps=500, variation=variation)
    observation = environment.reset(seed)
    while True:
        action = decide(kind, encode_act_request(observation)) if kind else Action({})
        result = environment.step(action)
        if result.done:
            environment.close()
            return result
        observation = result.observation


@pytest.mark.parametrize("env", CONTROL.environments)
def test_the_expert_always_succeeds(env: EnvId) -> None:
    assert [last_step(env, seed, PolicyKind.EXPERT).success for seed in SEEDS] == [True] * len(SEEDS)


@pytest.mark.parametrize("env", CONTROL.environments)
def test_the_expert_succeeds_under_the_standard_variation_too(env: EnvId) -> None:
    assert all(last_step(env, seed, PolicyKind.EXPERT, STANDARD).success for seed in SEEDS)


@pytest.mark.parametrize("env", CONTROL.environments)
def test_doing_nothing_never_succeeds(env: EnvId) -> None:
    assert not any(last_step(env, seed, None).success for seed in SEEDS)


@pytest.mark.parametrize("env", CONTROL.environments)
def test_random_actions_never_succeed(env: EnvId) -> None:
    assert not any(last_step(env, seed, PolicyKind.RANDOM).success for seed in SEEDS)


@pytest.mark.parametrize("env", CONTROL.environments)
def test_the_control_timestep_is_a_multiple_of_the_physics_timestep(env: EnvId) -> None:
    physics = TASKS[env.removeprefix("control/")]().physics()
    ratio = physics.CONTROL_TIMESTEP_S / physics.model.opt.timestep
    assert ratio == pytest.approx(round(ratio))


@pytest.mark.parametrize("env", CONTROL.environments)
def test_a_step_takes_one_control_timestep(env: EnvId) -> None:
    physics = TASKS[env.removeprefix("control/")]().physics()
    physics.reset()
    physics.step(np.zeros(physics.ACTION.size, np.float32))
    assert physics.data.time == pytest.approx(physics.CONTROL_TIMESTEP_S)


@pytest.mark.parametrize("env", CONTROL.environments)
def test_there_is_an_actuator_for_every_value_of_an_action(env: EnvId) -> None:
    physics = TASKS[env.removeprefix("control/")]().physics()
    assert physics.model.nu == physics.ACTION.size
    assert (physics.model.actuator_ctrlrange == [physics.ACTION.minimum, physics.ACTION.maximum]).all()


def test_what_is_read_after_a_step_belongs_to_its_end() -> None:
    physics = ReacherPhysics()
    physics.place((0.0, 1.0), (0.1, 0.1))
    physics.step(np.ones(2, np.float32))
    read = physics.distance_squared_m2, physics.fingertip_speed_squared_m2_s2
    physics.update()
    assert (physics.distance_squared_m2, physics.fingertip_speed_squared_m2_s2) == read


# Reacher


def test_the_arm_stretches_along_x_at_angles_of_zero() -> None:
    physics = ReacherPhysics()
    physics.place((0.0, 0.0), (0.24, 0.0))
    assert physics.distance_squared_m2 == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_target_is_within_reach_and_away_from_the_fingertip(seed: Seed) -> None:
    physics = ReacherPhysics()
    physics.reset()
    Reach().begin(physics, np.random.default_rng(seed))
    assert REACH_MIN_M <= math.hypot(*physics.target_m) <= REACH_MAX_M
    assert physics.distance_squared_m2 >= START_DISTANCE_MIN_M**2


def rested(steps: int, target_m: tuple[float, float], speed_rad_s: float = 0.0) -> bool:
    """Whether a stretched arm succeeds that is where it is for so many steps."""
    physics, task = ReacherPhysics(), Reach()
    physics.reset()
    physics.place((0.0, 0.0), target_m)
    physics.data.qvel[0] = speed_rad_s
    physics.update()
    return [task.judge(physics).success for _ in range(steps)][-1]


def test_ten_steps_at_rest_on_the_target_are_success() -> None:
    assert rested(10, (0.24, 0.019))


def test_nine_steps_are_not() -> None:
    assert not rested(9, (0.24, 0.019))


def test_beside_the_target_is_not() -> None:
    assert not rested(10, (0.24, 0.021))


def test_a_fingertip_that_moves_too_fast_is_not() -> None:
    assert rested(10, (0.24, 0.0), speed_rad_s=0.049 / 0.24)
    assert not rested(10, (0.24, 0.0), speed_rad_s=0.051 / 0.24)


def test_leaving_the_target_starts_the_count_anew() -> None:
    physics, task = ReacherPhysics(), Reach()
    physics.place((0.0, 0.0), (0.24, 0.0))
    for _ in range(9):
        task.judge(physics)
    physics.place((0.5, 0.0), (0.24, 0.0))
    task.judge(physics)
    assert physics.held_steps == 0


def test_the_shoulder_counts_its_turns() -> None:
    environment = make(REACHER, STATE_1, max_steps=500)
    environment.reset(Seed(1))
    turning = Action({"joint_torque": np.array([1.0, 0.0], np.float32)})
    for _ in range(150):
        observation = environment.step(turning).observation
    assert observation.proprio["joint_pos"][0] > 2 * math.pi


@pytest.mark.camera
@pytest.mark.parametrize("name", ["corner", "corner2"])
def test_the_pictures_show_the_target_where_it_is(name: str) -> None:
    renderer = Renderer()
    environment = ControlEnvironment(REACHER, RGB84_1, max_steps=10, renderer=renderer)
    red, green, blue = environment.reset(Seed(11)).rgb[name].astype(int).transpose(2, 0, 1)
    target = np.argwhere((red > 120) & (green < red // 2) & (blue < red // 2)).mean(axis=0)
    assert np.abs(target - projected(environment._physics, name)).max() < 1.0
    assert np.abs(41.5 - target).min() > 5, "far enough from the middle to tell the sides apart"
    environment.close()
    renderer.close()


def projected(physics: ReacherPhysics, name: str) -> np.ndarray:
    """Row and column of the target in the picture of an upright camera."""
    camera = physics.data.camera(name)
    x, y, z = (physics.data.mocap_pos[0] - camera.xpos) @ camera.xmat.reshape(3, 3)
    focal = 42 / np.tan(np.deg2rad(physics.model.camera(name).fovy[0]) / 2)
    return np.array([41.5 + focal * y / z, 41.5 - focal * x / z])


# Cart-pole


@pytest.mark.parametrize("seed", SEEDS)
def test_no_pole_starts_upright(seed: Seed) -> None:
    physics = CartPolePhysics()
    Balance().begin(physics, np.random.default_rng(seed))
    assert abs(physics.angle_rad) >= ANGLE_START_MIN_RAD


def test_poles_start_leaning_to_either_side() -> None:
    physics, sides = CartPolePhysics(), set()
    for seed in SEEDS:
        Balance().begin(physics, np.random.default_rng(seed))
        sides.add(physics.angle_rad > 0)
    assert sides == {True, False}


def test_a_pole_that_has_fallen_terminates_without_success() -> None:
    result = last_step(CART_POLE, Seed(1), None)
    assert (result.terminated, result.truncated, result.success) == (True, False, False)


@pytest.mark.parametrize(
    ("cart_m", "angle_rad", "failed"),
    [(0.0, 0.49, False), (0.0, 0.51, True), (0.0, -0.51, True), (0.94, 0.0, False), (-RAIL_END_M - 0.01, 0.0, True)],
)
def test_a_fallen_pole_or_the_end_of_the_rail_is_failure(cart_m: float, angle_rad: float, failed: bool) -> None:
    physics = CartPolePhysics()
    physics.place(cart_m, angle_rad)
    assert Balance().judge(physics).failed is failed


def test_two_seconds_upright_are_success() -> None:
    physics, task = CartPolePhysics(), Balance()
    physics.place(0.0, 0.09)
    assert [task.judge(physics).success for _ in range(100)] == [False] * 99 + [True]


def test_a_pole_that_leans_is_not_upright() -> None:
    physics, task = CartPolePhysics(), Balance()
    physics.place(0.0, 0.11)
    assert not any(task.judge(physics).success for _ in range(100))


def test_a_positive_force_moves_the_cart_along_x() -> None:
    physics = CartPolePhysics()
    physics.step(np.ones(1, np.float32))
    assert physics.cart_m > 0
    assert physics.angle_rad < 0, "the pole stays behind"
