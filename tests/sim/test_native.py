"""A native action from an answer's values alone is the one that an environment makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from sim.cameras import UNSEEN
from sim.rl_interface import Action
from sim.suite import DEFAULT_ENVIRONMENTS, FAMILIES, find, make, native_map

ENVIRONMENTS = (DEFAULT_ENVIRONMENTS[0], *FAMILIES["control"].environments)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_it_is_that_of_the_environment(env: str) -> None:
    environment, random = make(find(env), UNSEEN, max_steps=5), np.random.default_rng(1)
    try:
        channels = environment.action_spec.channels
        for _ in range(20):
            drawn = {name: random.uniform(it.minimum, it.maximum, it.size) for name, it in channels.items()}
            action = Action({name: values.astype(np.float32) for name, values in drawn.items()})
            values = np.concatenate([action.channels[name] for name in sorted(channels)])
            native = native_map(find(env)).native(values)
            assert native.dtype == np.float32
            assert native.tolist() == environment.native_action(action).tolist()
    finally:
        environment.close()


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_its_scale_is_what_it_changes_by(env: str) -> None:
    it = native_map(find(env))
    size = it.size or FAMILIES["control"].actions[0].size
    steps = [it.native(values) - it.native(np.zeros(size, np.float32)) for values in np.eye(size, dtype=np.float32)]
    assert np.abs(steps).sum(axis=0).tolist() == it.scale(it.native(np.zeros(size, np.float32))).tolist()


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_its_channels_are_those_of_the_environment(env: str) -> None:
    environment = make(find(env), UNSEEN, max_steps=5)
    environment.close()
    sizes = tuple(channel.size for _, channel in sorted(environment.action_spec.channels.items()))
    expected = native_map(find(env)).channels
    assert sizes == expected if expected else len(sizes) == 1


def test_values_of_another_robot_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 7 values"):
        native_map(find("metaworld/reach-v3")).native(np.zeros(4, np.float32))
