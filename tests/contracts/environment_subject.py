"""What the suite of every environment looks at: the environments of one family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

from events.ids import EnvId
from events.variation import NO_VARIATION, VariationRanges
from sim.cameras import STATE_1, ObservationProfile
from sim.environment import Environment, NativeAction, StepResult
from sim.errors import InvalidAction
from sim.rendering.renderer import Renderer
from sim.rl_interface import Observation
from sim.suite import make
from tests.contracts.driving import (
    SEED,
    STEPS,
    extreme_action,
    random_action,
)

EPISODE_STEPS = 500


class EnvironmentSubject:
    """The environments, how to get them, and what is done with them in more than one test."""

    envs: ClassVar[tuple[EnvId, ...]]

    def make(
        self,
        env: EnvId,
        profile: ObservationProfile = STATE_1,
        *,
        max_steps: int = EPISODE_STEPS,
        renderer: Renderer | None = None,
        variation: VariationRanges = NO_VARIATION,
    ) -> Environment:
        return make(env, profile, max_steps=max_steps, renderer=renderer, variation=variation)

    def simulation(self, environment: Environment) -> tuple[Any, Any]:
        """Its MjModel and MjData."""
        inside: Any = environment
        return inside._model, inside._data

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "env" in metafunc.fixturenames:
            metafunc.parametrize("env", self.envs, scope="class")

    @pytest.fixture
    def environment(self, env: EnvId) -> Iterator[Environment]:
        environment = self.make(env)
        yield environment
        environment.close()

    @pytest.fixture(scope="class")
    @classmethod
    def renderer(cls) -> Iterator[Renderer]:
        renderer = Renderer()
        yield renderer
        renderer.close()

    def observations(self, environment: Environment, steps: int = STEPS) -> Iterator[Observation]:
        yield environment.reset(SEED)
        for result in self.results(environment, steps):
            yield result.observation

    def results(self, environment: Environment, steps: int = STEPS) -> Iterator[StepResult]:
        environment.reset(SEED)
        random = np.random.default_rng(3)
        for _ in range(steps):
            result = environment.step(random_action(environment, random))
            yield result
            if result.done:
                return

    def digests(self, environment: Environment, steps: int) -> list[str]:
        return [environment.state_digest() for _ in self.results(environment, steps)]

    def begun(self, environment: Environment) -> NativeAction:
        """An action that is good in the episode that was begun."""
        environment.reset(SEED)
        environment.step(extreme_action(environment))
        return environment.native_action(extreme_action(environment)).copy()

    def refused(self, environment: Environment, native: NativeAction) -> None:
        before = environment.state_digest()
        with pytest.raises(InvalidAction):
            environment.step_native(native)
        assert environment.state_digest() == before
