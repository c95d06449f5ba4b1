"""What an environment exchanges with a policy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from events.ids import EnvId
from sim.cameras import RGB84_1
from sim.environment import Environment
from sim.rendering.renderer import Renderer
from sim.rl_interface import Action, decode_act_request, decode_action, encode_act_request, encode_action
from sim.suite import find
from tests.contracts.driving import (
    SEED,
    extreme_action,
    random_action,
)
from tests.contracts.environment_subject import EnvironmentSubject


class Exchange(EnvironmentSubject):
    """Specs are kept, values are finite, and all of it survives the wire; cameras show what the profile says."""

    def test_it_has_its_id(self, env: EnvId, environment: Environment) -> None:
        assert environment.env == env == find(env)

    def test_observations_have_the_channels_of_the_spec(self, environment: Environment) -> None:
        spec = environment.observation_spec.proprio
        for observation in self.observations(environment):
            assert {name: values.shape for name, values in observation.proprio.items()} == {
                name: (channel.size,) for name, channel in spec.items()
            }

    def test_observations_are_float32(self, environment: Environment) -> None:
        for observation in self.observations(environment):
            assert {values.dtype for values in observation.proprio.values()} == {np.dtype(np.float32)}

    def test_observations_are_finite_and_within_bounds(self, environment: Environment) -> None:
        spec = environment.observation_spec.proprio
        for observation in self.observations(environment):
            for name, values in observation.proprio.items():
                assert np.isfinite(values).all()
                assert ((spec[name].minimum <= values) & (values <= spec[name].maximum)).all()

    def test_the_profile_with_the_state_has_a_finite_one(self, env: EnvId, environment: Environment) -> None:
        for observation in self.observations(environment):
            assert tuple(observation.extra) == environment.observation_spec.extra == ("env_id", "state")
            assert observation.extra["env_id"] == env
            assert observation.extra["state"].dtype == np.float32
            assert np.isfinite(observation.extra["state"]).all()

    def test_an_observation_is_a_value_that_the_next_step_leaves_alone(self, environment: Environment) -> None:
        before = environment.reset(SEED)
        encoded = encode_act_request(before)
        environment.step(extreme_action(environment))
        assert encode_act_request(before) == encoded

    def test_an_observation_survives_the_wire(self, environment: Environment) -> None:
        observation = environment.reset(SEED)
        there = decode_act_request(encode_act_request(observation)).proprio
        assert {name: values.tobytes() for name, values in there.items()} == {
            name: values.tobytes() for name, values in observation.proprio.items()
        }

    def test_an_action_survives_the_wire(self, environment: Environment) -> None:
        action = random_action(environment, np.random.default_rng(1))
        there = decode_action(encode_action(action), environment.action_spec)
        assert environment.native_action(there).tobytes() == environment.native_action(action).tobytes()

    def test_actions_are_bounded(self, environment: Environment) -> None:
        for channel in environment.action_spec.channels.values():
            assert -math.inf < channel.minimum <= 0.0 < channel.maximum < math.inf

    def test_native_actions_are_float32(self, environment: Environment) -> None:
        native = environment.native_action(extreme_action(environment))
        assert (native.dtype, native.ndim) == (np.dtype(np.float32), 1)

    def test_a_channel_that_is_left_out_is_zero(self, environment: Environment) -> None:
        channels = environment.action_spec.channels.items()
        zeros = Action({name: np.zeros(channel.size, np.float32) for name, channel in channels})
        assert environment.native_action(Action({})).tolist() == environment.native_action(zeros).tolist()

    def test_rewards_are_finite(self, environment: Environment) -> None:
        assert all(
            type(result.reward) is float and math.isfinite(result.reward) for result in self.results(environment)
        )

    @pytest.mark.camera
    def test_pictures_have_the_shapes_of_the_spec(self, env: EnvId, renderer: Renderer) -> None:
        environment = self.make(env, RGB84_1, renderer=renderer)
        for observation in self.observations(environment, steps=2):
            assert {name: image.shape for name, image in observation.rgb.items()} == {
                "corner": (84, 84, 3),
                "corner2": (84, 84, 3),
            }
            assert {name: image.shape for name, image in observation.rgb.items()} == dict(
                environment.observation_spec.image_shapes
            )
            assert {image.dtype for image in observation.rgb.values()} == {np.dtype(np.uint8)}
        environment.close()

    @pytest.mark.camera
    def test_with_cameras_a_policy_gets_no_state(self, env: EnvId, renderer: Renderer) -> None:
        environment = self.make(env, RGB84_1, renderer=renderer)
        assert dict(environment.reset(SEED).extra) == {}
        assert environment.observation_spec.extra == ()
        environment.close()

    @pytest.mark.camera
    def test_looking_changes_nothing(self, env: EnvId, environment: Environment, renderer: Renderer) -> None:
        watched = self.make(env, RGB84_1, renderer=renderer)
        assert self.digests(watched, steps=3) == self.digests(environment, steps=3)
        watched.close()
