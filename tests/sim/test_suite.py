from __future__ import annotations

import subprocess
import sys

import pytest

from sim.errors import UnknownEnvironment
from sim.suite import DEFAULT_ENVIRONMENTS, ENVIRONMENTS, METAWORLD_TASKS, find


def test_the_tasks_are_metaworlds_own() -> None:
    from metaworld.env_dict import ENV_CLS_MAP

    assert sorted(METAWORLD_TASKS) == sorted(ENV_CLS_MAP)


def test_every_default_environment_exists() -> None:
    assert len(DEFAULT_ENVIRONMENTS) == 8
    assert set(DEFAULT_ENVIRONMENTS) <= set(ENVIRONMENTS)


@pytest.mark.parametrize("text", ["metaworld/push", "push-v3", "metaworld/push-v2", "metaworld/psuh-v3"])
def test_an_unknown_environment_is_answered_with_close_ones(text: str) -> None:
    with pytest.raises(UnknownEnvironment, match="metaworld/push-v3"):
        find(text)


def test_listing_environments_loads_no_simulator() -> None:
    code = "import sys, sim.suite, sim.episode, sim.stage; sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
