from __future__ import annotations

import subprocess
import sys

import pytest

from sim.control.family import CONTROL
from sim.errors import UnknownEnvironment
from sim.metaworld.family import METAWORLD
from sim.suite import DEFAULT_ENVIRONMENTS, ENVIRONMENTS, find


def test_the_tasks_are_metaworlds_own() -> None:
    from metaworld.env_dict import ENV_CLS_MAP

    assert sorted(METAWORLD.tasks) == sorted(ENV_CLS_MAP)


def test_every_default_environment_exists() -> None:
    assert len(DEFAULT_ENVIRONMENTS) == 8
    assert set(DEFAULT_ENVIRONMENTS) <= set(ENVIRONMENTS)


@pytest.mark.parametrize("text", ["metaworld/push", "push-v3", "metaworld/push-v2", "metaworld/psuh-v3"])
def test_an_unknown_environment_is_answered_with_close_ones(text: str) -> None:
    with pytest.raises(UnknownEnvironment, match="metaworld/push-v3"):
        find(text)


def test_the_control_tasks_are_those_that_can_be_made() -> None:
    from sim.control.environment import TASKS

    assert sorted(CONTROL.tasks) == sorted(TASKS)


@pytest.mark.parametrize("text", ["control/reacher", "reacher", "reacher-v1", "control/raecher-v2"])
def test_close_ones_are_looked_for_in_every_family(text: str) -> None:
    with pytest.raises(UnknownEnvironment, match=r"control/reacher-v1"):
        find(text)


def test_listing_environments_loads_no_simulator() -> None:
    code = "import sys, sim.suite, sim.experts, sim.episode, sim.stage; sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=100).returncode == 0
