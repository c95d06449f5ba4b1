"""Every family keeps what `Environment` promises."""

from __future__ import annotations

import os
from typing import Any

from sim.control.family import CONTROL
from sim.environment import Environment
from sim.metaworld.family import METAWORLD
from sim.suite import DEFAULT_ENVIRONMENTS
from tests.contracts.environment import EnvironmentContract

LONG = os.environ.get("KINITRO_TESTS_LONG") == "1"
"""All fifty of MetaWorld's tasks, which take minutes."""


class TestMetaWorld(EnvironmentContract):
    envs = METAWORLD.environments if LONG else DEFAULT_ENVIRONMENTS
    growth_max_mb = 100.0
    """They take 18 MB each, in pieces that fit together differently each time."""


class TestControl(EnvironmentContract):
    envs = CONTROL.environments

    def simulation(self, environment: Environment) -> tuple[Any, Any]:
        inside: Any = environment
        return inside._physics.model, inside._physics.data
