"""What must not reach the physics, and the ends of episodes and of environments."""

from __future__ import annotations

from itertools import cycle, pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from events.ids import EnvId, Seed
from sim.cameras import STATE_1
from sim.environment import Environment
from sim.episode import EpisodeSpec
from sim.errors import InvalidAction, SimulationFailed
from sim.rl_interface import Action
from sim.trace import Recording, resimulate
from tests.contracts.driving import (
    SEED,
    in_another_process,
    resident_mb,
    solve,
    walk,
)
from tests.contracts.environment_subject import EPISODE_STEPS, EnvironmentSubject

SEEDS_MAX = 5
"""Of which an expert solves one at the latest."""
CLOSED_ENVIRONMENTS = 50
GROWTHS = 3


class Ends(EnvironmentSubject):
    """Refused actions change nothing; ends are told apart; what is closed is free."""

    growth_max_mb: ClassVar[float] = 10.0
    """Of the process, by 50 environments that were closed. Even a small model leaks more if nothing is freed."""

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_an_action_that_is_not_finite_changes_nothing(self, environment: Environment, bad: float) -> None:
        native = self.begun(environment)
        native[-1] = bad
        self.refused(environment, native)

    def test_an_action_of_another_shape_changes_nothing(self, environment: Environment) -> None:
        native = self.begun(environment)
        self.refused(environment, np.zeros(native.size + 1, np.float32))
        self.refused(environment, native[np.newaxis])

    def test_an_action_of_another_type_changes_nothing(self, environment: Environment) -> None:
        native = self.begun(environment)
        self.refused(environment, native.astype(np.float64))

    def test_a_refused_action_leaves_no_trace_in_the_episode(self, environment: Environment) -> None:
        undisturbed = list(walk(environment))
        disturbed = []
        for seen in walk(environment):
            disturbed.append(seen)
            with pytest.raises(InvalidAction):
                environment.step_native(np.full(1, np.nan, np.float32))
        assert disturbed == undisturbed

    @pytest.mark.parametrize("max_steps", [1, 7])
    def test_the_step_limit_truncates(self, env: EnvId, max_steps: int) -> None:
        environment = self.make(env, max_steps=max_steps)
        environment.reset(SEED)
        results = [environment.step(Action({})) for _ in range(max_steps)]
        assert [result.truncated for result in results] == [False] * (max_steps - 1) + [True]
        assert not any(result.terminated or result.success for result in results)

    def test_the_step_limit_counts_anew_in_every_episode(self, env: EnvId) -> None:
        environment = self.make(env, max_steps=3)
        for _ in range(2):
            environment.reset(SEED)
            assert [environment.step(Action({})).truncated for _ in range(3)] == [False, False, True]

    def test_success_terminates(self, environment: Environment) -> None:
        attempts = (solve(environment, Seed(seed)) for seed in range(SEEDS_MAX))
        results = next(results for results in attempts if results[-1].success)
        assert [result.done for result in results] == [False] * (len(results) - 1) + [True]
        assert not any(result.success for result in results[:-1])
        assert (results[-1].terminated, results[-1].truncated) == (True, False)

    def test_physics_that_diverged_terminates_without_success(self, environment: Environment) -> None:
        environment.reset(SEED)
        self.simulation(environment)[1].qvel[:] = 1e12
        result = environment.step(Action({}))
        assert (result.terminated, result.truncated, result.success) == (True, False, False)

    def test_physics_that_diverged_leaves_nothing_in_the_next(self, env: EnvId, environment: Environment) -> None:
        environment.reset(Seed(12))
        self.simulation(environment)[1].qvel[:] = 1e12
        environment.step(Action({}))
        assert list(walk(environment)) == list(walk(self.make(env)))

    def test_physics_that_diverged_writes_no_file(
        self, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        environment.reset(SEED)
        self.simulation(environment)[1].qvel[:] = 1e12
        environment.step(Action({}))
        assert list(tmp_path.iterdir()) == [], "MuJoCo writes its log file where nobody asked for it"

    def test_no_step_after_the_end(self, env: EnvId) -> None:
        environment = self.make(env, max_steps=1)
        environment.reset(SEED)
        environment.step(Action({}))
        with pytest.raises(SimulationFailed, match="after the end"):
            environment.step(Action({}))

    def test_no_step_before_the_first_reset(self, environment: Environment) -> None:
        with pytest.raises(SimulationFailed, match="before reset"):
            environment.step(Action({}))

    def test_no_step_after_close(self, env: EnvId) -> None:
        environment = self.make(env)
        native = self.begun(environment)
        environment.close()
        with pytest.raises(SimulationFailed):
            environment.step_native(native)

    def test_recorded_actions_resimulate_to_the_same_outcome(self, env: EnvId, environment: Environment) -> None:
        recording = Recording(environment)
        solve(recording, SEED)
        spec = EpisodeSpec(env=env, seed=SEED, index=0, profile=STATE_1.name, max_steps=EPISODE_STEPS)
        assert resimulate(spec, recording.actions) == recording.outcome()

    def test_closed_environments_free_their_memory(self) -> None:
        growth_mb = in_another_process(type(self), "grown_mb")
        assert isinstance(growth_mb, float)
        assert growth_mb < self.growth_max_mb

    def grown_mb(self) -> float:
        """What the process has grown by many closed environments, after it had as many before.

        The least of several times: what is leaked grows each time, what the allocator keeps or gives back does not.
        """
        self.use_and_close()
        sizes_mb = [resident_mb()]
        for _ in range(GROWTHS):
            self.use_and_close()
            sizes_mb.append(resident_mb())
        return min(after - before for before, after in pairwise(sizes_mb))

    def use_and_close(self) -> None:
        for _, env in zip(range(CLOSED_ENVIRONMENTS), cycle(self.envs), strict=False):
            environment = self.make(env)
            self.begun(environment)
            environment.close()
