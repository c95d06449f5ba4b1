"""One seed, one episode."""

from __future__ import annotations

import math

import pytest

from events.ids import EnvId, Seed
from events.variation import NO_VARIATION, STANDARD, VariationRanges
from sim.environment import Environment
from tests.contracts.driving import (
    SEED,
    digest,
    extreme_action,
    in_another_process,
    push,
    solve,
    walk,
)
from tests.contracts.environment_subject import EnvironmentSubject
from tests.contracts.models import differing, parameters


class Seeds(EnvironmentSubject):
    """In a fresh environment or a reused one, in this process or another."""

    def test_the_same_seed_gives_the_same_episode_again(self, environment: Environment) -> None:
        assert list(walk(environment)) == list(walk(environment))

    def test_a_reused_environment_gives_the_same_as_a_fresh_one(self, env: EnvId, environment: Environment) -> None:
        for other in (12, 13):
            list(walk(environment, Seed(other)))
        assert list(walk(environment)) == list(walk(self.make(env)))

    def test_a_solved_episode_leaves_nothing_in_the_next(self, env: EnvId, environment: Environment) -> None:
        solve(environment, Seed(12))
        assert list(walk(environment)) == list(walk(self.make(env)))

    def test_an_abandoned_episode_leaves_nothing_in_the_next(self, env: EnvId, environment: Environment) -> None:
        push(environment, Seed(12))
        assert list(walk(environment)) == list(walk(self.make(env)))

    def test_two_environments_do_not_know_each_other(self, env: EnvId, environment: Environment) -> None:
        other = self.make(env)
        alone = list(walk(environment))
        together = list(zip(walk(environment), walk(other, Seed(12)), strict=False))
        assert [mine for mine, _ in together] == alone[: len(together)]

    def test_another_process_gives_the_same_episodes(self) -> None:
        assert in_another_process(type(self), "walked") == self.walked()

    def test_another_seed_gives_another_episode(self, environment: Environment) -> None:
        assert next(walk(environment, Seed(1))) != next(walk(environment, Seed(2)))

    def test_the_variation_is_the_seeds(self, env: EnvId, environment: Environment) -> None:
        environment.reset(SEED)
        first = dict(environment.variation)
        environment.step(extreme_action(environment))
        assert dict(environment.variation) == first
        other = self.make(env)
        other.reset(SEED)
        assert dict(other.variation) == first

    def test_the_variation_differs_between_seeds(self, environment: Environment) -> None:
        environment.reset(Seed(1))
        first = dict(environment.variation)
        environment.reset(Seed(2))
        assert first.keys() == environment.variation.keys()
        assert first != dict(environment.variation)

    def test_the_variation_is_finite(self, environment: Environment) -> None:
        environment.reset(SEED)
        assert all(type(value) is float and math.isfinite(value) for value in environment.variation.values())

    def test_a_varied_episode_leaves_nothing_in_the_next(self, env: EnvId) -> None:
        reused = self.make(env, variation=STANDARD)
        solve(reused, Seed(12))
        assert list(walk(reused)) == list(walk(self.make(env, variation=STANDARD)))

    def test_variation_moves_no_placement(self, env: EnvId, environment: Environment) -> None:
        varied = self.make(env, variation=STANDARD)
        for each in (environment, varied):
            each.reset(SEED)
        assert environment.variation.items() < varied.variation.items()

    @pytest.mark.parametrize("ranges", [NO_VARIATION, STANDARD], ids=lambda ranges: ranges.name)
    def test_no_parameter_of_the_model_leaks_into_the_next(self, env: EnvId, ranges: VariationRanges) -> None:
        environment, fresh = (self.make(env, variation=ranges) for _ in range(2))
        list(walk(environment, Seed(12)))
        environment.reset(SEED)
        fresh.reset(SEED)
        assert differing(self.simulation(environment)[0], self.simulation(fresh)[0]) == []

    def test_an_episode_leaves_the_parameters_of_the_model_alone(self, environment: Environment) -> None:
        environment.reset(SEED)
        before = parameters(self.simulation(environment)[0])
        push(environment, SEED)
        after = parameters(self.simulation(environment)[0])
        assert [name for name in before if before[name] != after[name]] == []

    @pytest.mark.parametrize("seed", [-1, 2**64])
    def test_a_seed_that_is_not_64_bit_is_refused(self, environment: Environment, seed: int) -> None:
        with pytest.raises(ValueError, match="64-bit"):
            environment.reset(Seed(seed))

    def test_the_largest_seed_is_accepted(self, environment: Environment) -> None:
        assert environment.reset(Seed(2**64 - 1)).proprio

    def walked(self) -> dict[str, str]:
        """Each environment's episode, in short."""
        return {env: digest(walk(self.make(env))) for env in self.envs}
