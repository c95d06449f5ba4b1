"""The loop that all control tasks share: seeds in, actions to the physics, verdicts out.

Physics knows bodies (`physics.py`), a task knows its goal and reward (`task.py`), each domain has a file with
both beside its MJCF. Loads MuJoCo when imported: everybody else goes through `sim.suite.make`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from events.ids import EnvId, Seed, split_env_id
from events.variation import NO_VARIATION
from sim import physics
from sim.control.cart_pole import Balance
from sim.control.reacher import Reach
from sim.environment import NativeAction, StepResult
from sim.errors import SimulationFailed
from sim.randomization import Randomizer
from sim.rl_interface import Action, Observation
from sim.spec import ActionSpec, ObservationSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from events.variation import VariationRanges
    from sim.cameras import ObservationProfile
    from sim.control.task import Task
    from sim.rendering.renderer import Renderer

TASKS: Mapping[str, Callable[[], Task[Any]]] = {"cart-pole-balance-v1": Balance, "reacher-v1": Reach}


class ControlEnvironment:
    """One control task. See `sim.environment.Environment` for what it promises.

    The native action is the task's own action channel, as it is.
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
        self._task = TASKS[split_env_id(env)[1]]()
        self._physics = self._task.physics()
        self._channel = self._physics.ACTION
        self._divergence_counts = physics.divergence_counts(self._physics.data)
        self._variation: Mapping[str, float] = MappingProxyType({})
        self._steps = 0
        self._running = False
        model = self._physics.model
        for camera in profile.cameras:
            model.cam_fovy[model.camera(camera.name).id] = camera.fovy_deg
        if profile.cameras:
            if renderer is None:
                raise ValueError(f"profile {profile.name} has cameras: give it a renderer")
            renderer.prepare(env, profile, model)
        self._randomizer = Randomizer(model, variation, robot=self._physics.ROBOT)

    @property
    def env(self) -> EnvId:
        return self._env

    @property
    def control_timestep_s(self) -> float:
        timestep_s: float = self._physics.CONTROL_TIMESTEP_S
        return timestep_s

    @property
    def action_spec(self) -> ActionSpec:
        return ActionSpec.of(self._channel)

    @property
    def observation_spec(self) -> ObservationSpec:
        size = self._profile.image_size_px
        return ObservationSpec(
            proprio=MappingProxyType({channel.name: channel for channel in self._physics.PROPRIO}),
            image_shapes={camera.name: (size, size, 3) for camera in self._profile.cameras},
            extra=("env_id", "state") if self._profile.full_state else (),
        )

    @property
    def variation(self) -> Mapping[str, float]:
        return self._variation

    def reset(self, seed: Seed) -> Observation:
        physics.check_seed(seed)
        drawn = self._randomizer.apply(seed)
        self._physics.reset()
        placement = self._task.begin(self._physics, np.random.default_rng(seed))
        self._variation = MappingProxyType({**placement, **drawn})
        self._steps = 0
        self._running = True
        return self._observe()

    def native_action(self, action: Action) -> NativeAction:
        return action.channel(self._channel)

    def step(self, action: Action) -> StepResult:
        return self.step_native(self.native_action(action))

    def step_native(self, native: NativeAction) -> StepResult:
        physics.check_native(native, self._channel.size)
        if not self._running:
            raise SimulationFailed(f"{self._env}: stepped before reset or after the end of the episode")
        self._physics.step(native)
        self._steps += 1
        verdict = self._task.judge(self._physics)
        diverged = physics.diverged(self._divergence_counts)
        success = verdict.success and not diverged
        terminated = success or verdict.failed or diverged
        truncated = not terminated and self._steps >= self._max_steps
        self._running = not (terminated or truncated)
        return StepResult(self._observe(), verdict.reward, terminated, truncated, success)

    def state_digest(self) -> str:
        return physics.state_digest(self._physics.model, self._physics.data)

    def close(self) -> None:
        self._running = False
        if self._renderer is not None:
            self._renderer.forget(self._physics.model)
        del self._physics, self._divergence_counts, self._randomizer

    def _observe(self) -> Observation:
        seen = self._physics
        extra: dict[str, Any] = {}
        if self._profile.full_state:
            extra = {"env_id": self._env, "state": seen.state().astype(np.float32)}
        if self._renderer is None or not self._profile.cameras:
            return Observation(seen.proprio(), extra=extra)
        frames = self._renderer.frames(self._env, self._profile, seen.model, seen.data)
        return Observation(seen.proprio(), frames, extra)
