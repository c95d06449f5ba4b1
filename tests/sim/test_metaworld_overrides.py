"""Our task classes against MetaWorld's own, untouched, bit for bit, on all of its tasks.

`KINITRO_TESTS_LONG=1` drives five seeds for 500 steps instead of two for 100.
"""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any

import mujoco
import numpy as np
import pytest
from metaworld import sawyer_xyz_env
from metaworld.env_dict import ENV_CLS_MAP
from metaworld.policies import ENV_POLICY_MAP
from metaworld.utils import reward_utils
from numpy.typing import NDArray

from events.ids import EnvId, Seed, split_env_id
from sim.cameras import STATE_1
from sim.environment import NativeAction
from sim.metaworld import overrides
from sim.metaworld.arithmetic import REPLACED
from sim.metaworld.environment import MetaWorldEnvironment, begin, prepared
from sim.metaworld.overrides import task_class
from sim.physics import STATE
from sim.suite import DEFAULT_ENVIRONMENTS

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
SEEDS = range(101, 106) if LONG else range(101, 103)
EXPERT_STEPS, RANDOM_STEPS = (400, 100) if LONG else (70, 30)
TOUCH_EVERY = 5
REACH = EnvId("metaworld/reach-v3")
PUSH = EnvId("metaworld/push-v3")
EXPERTS: Any = ENV_POLICY_MAP

pytestmark = pytest.mark.filterwarnings("ignore:Constant.s. may be too high")


@pytest.mark.parametrize("task", ENV_CLS_MAP)
def test_our_class_computes_what_metaworlds_computes(task: str) -> None:
    untouched, ours = prepared(ENV_CLS_MAP[task](), 500), prepared(task_class(task)(), 500)
    for seed in SEEDS:
        drive_both(untouched, ours, task, seed)
    untouched.close()
    ours.close()


def drive_both(untouched: Any, ours: Any, task: str, seed: int) -> None:
    """One episode, beyond success, comparing at each step everything that leaves the simulation."""
    expert, generator = EXPERTS[task](), np.random.default_rng(seed)
    drawn, state = begin(untouched, Seed(seed))
    our_drawn, our_state = begin(ours, Seed(seed))
    assert (our_drawn.tobytes(), our_state.tobytes()) == (drawn.tobytes(), state.tobytes())
    assert physics(ours) == physics(untouched)
    for number in range(EXPERT_STEPS + RANDOM_STEPS):
        action = expert_action(expert, state) if number < EXPERT_STEPS else grasping_at_random(generator)
        state, *outcome = untouched.step(action)
        our_state, *our_outcome = ours.step(action)
        where = f"{task}, seed {seed}, step {number}"
        assert our_state.tobytes() == state.tobytes(), f"{where}: differs at {np.flatnonzero(our_state != state)}"
        assert comparable(*our_outcome) == comparable(*outcome), where
        assert physics(ours) == physics(untouched), where
        if number % TOUCH_EVERY == 0:
            assert touched(ours) == touched(untouched), where


def expert_action(expert: Any, state: NDArray[np.float64]) -> NativeAction:
    action: NativeAction = np.clip(expert.get_action(state), -1.0, 1.0).astype(np.float32)
    return action


def grasping_at_random(generator: np.random.Generator) -> NativeAction:
    """Where the expert has brought the hand to, so that there is something to touch; also out of bounds."""
    action = generator.uniform(-1.5, 1.5, 4).astype(np.float32)
    action[3] = generator.choice([1.0, 1.0, 1.0, -1.0, 0.3])
    return action


def comparable(reward: Any, terminated: bool, truncated: bool, info: dict[str, Any]) -> tuple[Any, ...]:
    numbers = {name: float(value).hex() for name, value in info.items()}
    return float(reward).hex(), terminated, truncated, numbers


def touched(native: Any) -> list[bool]:
    """Of all that touches anything, what the gripper touches: tasks themselves only ask for one object."""
    return [bool(native.touching_object(geom)) for geom in np.unique(native.data.contact.geom)]


def physics(native: Any) -> bytes:
    state = np.empty(mujoco.mj_stateSize(native.model, STATE), np.float64)
    mujoco.mj_getState(native.model, native.data, state, STATE)
    return state.tobytes()


@pytest.mark.parametrize("env", DEFAULT_ENVIRONMENTS)
def test_our_step_says_what_metaworlds_simulation_shows(env: EnvId) -> None:
    task = split_env_id(env)[1]
    untouched, ours = prepared(ENV_CLS_MAP[task](), 500), MetaWorldEnvironment(env, STATE_1, max_steps=500)
    _, state = begin(untouched, Seed(101))
    ours.reset(Seed(101))
    done = False
    while not done:
        action = expert_action(EXPERTS[task](), state)
        state, reward, _, _, info = untouched.step(action)
        result = ours.step_native(action)
        done = result.done
        seen = {**result.observation.proprio, "state": result.observation.extra["state"]}
        assert {name: values.tobytes() for name, values in seen.items()} == shown(untouched, state)
        assert (result.reward.hex(), result.success) == (float(reward).hex(), bool(info["success"]))


def shown(native: Any, state: NDArray[np.float64]) -> dict[str, bytes]:
    """The observation by its definition, from MetaWorld's simulation and state vector."""
    hand, velocity = native.data.body("hand"), np.empty(6, np.float64)
    mujoco.mj_objectVelocity(native.model, native.data, mujoco.mjtObj.mjOBJ_BODY, hand.id, velocity, 0)
    values = {
        "ee_pos": hand.xpos,
        "ee_quat": np.roll(hand.xquat, -1),
        "ee_vel_lin": velocity[3:],
        "ee_vel_ang": velocity[:3],
        "gripper": np.clip(1.0 - state[3:4], 0.0, 1.0),
        "state": state,
    }
    return {name: value.astype(np.float32).tobytes() for name, value in values.items()}


def test_metaworlds_own_classes_and_modules_stay_as_they_are() -> None:
    ours = task_class("push-v3")
    untouched: Any = ENV_CLS_MAP["push-v3"]
    assert not issubclass(untouched, overrides._Overrides)
    assert ours.compute_reward.__code__ is untouched.compute_reward.__code__, "not MetaWorld's own reward"
    assert untouched.compute_reward.__globals__["np"] is np
    assert untouched.compute_reward.__globals__["reward_utils"] is reward_utils
    assert sawyer_xyz_env.__dict__["np"] is np
    assert reward_utils.tolerance.__module__ == reward_utils.__name__


@pytest.mark.parametrize("task", ENV_CLS_MAP)
def test_the_rewards_find_the_faster_functions(task: str) -> None:
    found = task_class(task).compute_reward.__globals__
    assert found["np"] is REPLACED["np"]
    assert [name for name in REPLACED if name in found and found[name] is not REPLACED[name]] == []


def test_two_environments_of_a_task_do_not_notice_each_other() -> None:
    def run(environment: MetaWorldEnvironment, other: MetaWorldEnvironment | None) -> str:
        environment.reset(Seed(1))
        for number in range(20):
            if other is not None and number % 7 == 0:
                other.reset(Seed(number))
            for one in (environment, other):
                if one is not None:
                    one.step_native(np.array([0.3, 0.5, -0.4, 1.0], np.float32) * (1 if one is environment else -1))
        return environment.state_digest()

    alone = run(MetaWorldEnvironment(PUSH, STATE_1, max_steps=500), None)
    beside = MetaWorldEnvironment(PUSH, STATE_1, max_steps=500)
    assert run(MetaWorldEnvironment(PUSH, STATE_1, max_steps=500), beside) == alone


def test_a_task_is_compiled_once_in_a_process() -> None:
    MetaWorldEnvironment(REACH, STATE_1, max_steps=500).close()
    compiled = overrides._compiled.cache_info().misses
    MetaWorldEnvironment(REACH, STATE_1, max_steps=500).close()
    assert overrides._compiled.cache_info().misses == compiled


def test_an_environment_is_freed_as_soon_as_nobody_holds_it() -> None:
    environment = MetaWorldEnvironment(REACH, STATE_1, max_steps=500)
    environment.reset(Seed(1))
    environment.step_native(np.zeros(4, np.float32))
    native = weakref.ref(environment._native)
    gc.collect()
    gc.disable()
    try:
        environment.close()
        del environment
        assert native() is None, "something in it holds itself"
    finally:
        gc.enable()
