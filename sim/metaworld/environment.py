"""MetaWorld's tasks behind the `Environment` protocol, without any change of what MetaWorld computes.

Loads MuJoCo and MetaWorld when imported: everybody else goes through `sim.suite.make`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from events.ids import EnvId, Seed, split_env_id
from events.variation import NO_VARIATION
from sim.environment import NativeAction, StepResult
from sim.errors import SimulationFailed
from sim.metaworld.overrides import task_class
from sim.physics import check_native, check_seed, diverged, divergence_counts, state_digest
from sim.randomization import Randomizer
from sim.rl_interface import Action, Observation
from sim.spec import ARM_ACTION, PROPRIO, ActionSpec, ObservationSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.variation import VariationRanges
    from sim.cameras import ObservationProfile
    from sim.rendering.renderer import Renderer

HAND = "hand"
ROBOT = ("base",)
NATIVE_ACTION_SIZE = 4
BODY = int(mujoco.mjtObj.mjOBJ_BODY)


class MetaWorldEnvironment:
    """One MetaWorld task. See `sim.environment.Environment` for what it promises.

    The native action is MetaWorld's own: x, y, z of the hand in [-1, 1] (1 cm of target motion per step
    each), and the gripper from -1, open, to 1, closed. Success ends the episode; MetaWorld itself would go
    on.
    """

    def __init__(
        self,
        env: EnvId,
        profile: ObservationProfile,
        *,
        max_steps: int,
        renderer: Renderer | None = None,
        variation: VariationRanges = NO_VARIATION,
    ) -> None:
        self._env = env
        self._profile = profile
        self._renderer = renderer
        self._max_steps = max_steps
        self._native = prepared(task_class(split_env_id(env)[1])(), max_steps)
        self._model: mujoco.MjModel = self._native.model
        self._data: mujoco.MjData = self._native.data
        self._hand_body = self._model.body(HAND).id
        # Views into the simulation, which is the same for as long as the environment lives.
        self._hand_xpos = self._data.xpos[self._hand_body]
        self._hand_xquat_wxyz = self._data.xquat[self._hand_body]
        self._hand_velocity = np.empty(6, np.float64)
        self._divergence_counts = divergence_counts(self._data)
        self._variation: Mapping[str, float] = MappingProxyType({})
        self._running = False
        for camera in profile.cameras:
            self._model.cam_fovy[self._model.camera(camera.name).id] = camera.fovy_deg
        if profile.cameras:
            if renderer is None:
                raise ValueError(f"profile {profile.name} has cameras: give it a renderer")
            renderer.prepare(env, profile, self._model, upside_down=True)
        self._randomizer = Randomizer(self._model, variation, robot=ROBOT)

    @property
    def env(self) -> EnvId:
        return self._env

    @property
    def action_spec(self) -> ActionSpec:
        return ARM_ACTION

    @property
    def observation_spec(self) -> ObservationSpec:
        size = self._profile.image_size_px
        return ObservationSpec(
            proprio=PROPRIO,
            image_shapes={camera.name: (size, size, 3) for camera in self._profile.cameras},
            extra=("env_id", "state") if self._profile.full_state else (),
        )

    @property
    def control_timestep_s(self) -> float:
        return float(self._native.frame_skip * self._model.opt.timestep)

    @property
    def variation(self) -> Mapping[str, float]:
        return self._variation

    def reset(self, seed: Seed) -> Observation:
        check_seed(seed)
        drawn = self._randomizer.apply(seed)
        rand_vec, state = begin(self._native, seed)
        placement = {f"rand_vec_{i}": float(x) for i, x in enumerate(rand_vec)}
        self._variation = MappingProxyType({**placement, **drawn})
        self._running = True
        return self._observe(state, first=True)

    def native_action(self, action: Action) -> NativeAction:
        native = np.empty(NATIVE_ACTION_SIZE, np.float32)
        native[:3] = action.channel(ARM_ACTION.channels["ee_twist"])[:3]
        native[3] = 2.0 * action.channel(ARM_ACTION.channels["gripper"])[0] - 1.0
        return native

    def step(self, action: Action) -> StepResult:
        return self.step_native(self.native_action(action))

    def step_native(self, native: NativeAction) -> StepResult:
        check_native(native, NATIVE_ACTION_SIZE)
        if not self._running:
            raise SimulationFailed(f"{self._env}: stepped before reset or after the end of the episode")
        state, reward, _, _, info = self._native.step(native)
        blown_up = diverged(self._divergence_counts)
        success = bool(info["success"]) and not blown_up
        terminated = success or blown_up
        truncated = not terminated and self._native.curr_path_length >= self._max_steps
        self._running = not (terminated or truncated)
        return StepResult(self._observe(state, first=False), float(reward), terminated, truncated, success)

    def state_digest(self) -> str:
        return state_digest(self._model, self._data)

    def close(self) -> None:
        self._running = False
        self._native.close()
        if self._renderer is not None:
            self._renderer.forget(self._model)

    def _observe(self, state: NDArray[np.float64], *, first: bool) -> Observation:
        proprio = self._proprio(state)
        extra: dict[str, Any] = {}
        if self._profile.full_state:
            extra = {"env_id": self._env, "state": state.astype(np.float32)}
        if self._renderer is None or not self._profile.cameras:
            return Observation(proprio, extra=extra)
        if first:
            # Some tasks place their goal after MetaWorld's last forward pass. These two, unlike a forward
            # pass, leave the trajectory as it is.
            mujoco.mj_kinematics(self._model, self._data)
            mujoco.mj_camlight(self._model, self._data)
        return Observation(proprio, self._renderer.frames(self._env, self._profile, self._model, self._data), extra)

    def _proprio(self, state: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        velocity = self._hand_velocity
        mujoco.mj_objectVelocity(self._model, self._data, BODY, self._hand_body, velocity, 0)
        w, x, y, z = self._hand_xquat_wxyz.tolist()
        closed = min(max(1.0 - float(state[3]), 0.0), 1.0)
        return {
            "ee_pos": self._hand_xpos.astype(np.float32),
            "ee_quat": np.array((x, y, z, w), np.float32),
            "ee_vel_lin": velocity[3:].astype(np.float32),
            "ee_vel_ang": velocity[:3].astype(np.float32),
            "gripper": np.array((closed,), np.float32),
        }


def prepared(native: Any, max_steps: int) -> Any:
    """Once per environment, so that seeds are ours and the goal is in the state vector."""
    native._partially_observable = False
    native.__dict__.pop("sawyer_observation_space", None)  # cached with a goal of zero, to which `step` clips
    native._set_task_called = True
    native.max_path_length = max_steps
    return native


def begin(native: Any, seed: Seed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Start the episode of this seed; the vector it was sampled to, and the first state vector.

    MetaWorld ignores `reset(seed=)`. Its own sampler draws first, honouring the task's constraints; the reset
    that follows then uses the frozen draw. A single seeded reset would draw twice and show a stale first
    state.
    """
    native.np_random = np.random.default_rng(seed)
    native.seeded_rand_vec = True
    native._freeze_rand_vec = False
    native.reset_model()
    native._last_rand_vec = native._last_rand_vec.copy()
    native._freeze_rand_vec = True
    native._did_see_sim_exception = False
    state, _ = native.reset()
    return native._last_rand_vec, state
