"""A sandbox of this machine, repositories of policies, and questions to ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from consumers.verification.sandbox.namespaces import probe
from consumers.verification.sandbox.protocol import NoSandbox, Sandbox
from sim.rl_interface import Observation, encode_act_request

Repository = Callable[[str], Path]

IMAGE = np.arange(84 * 84 * 3, dtype=np.uint8).reshape(84, 84, 3)
ACT = encode_act_request(Observation({"ee_pos": np.array([0.1, 0.2, 0.3], np.float32)}, {"corner": IMAGE}))
RESET = b'{"task_config": {"env_id": "metaworld/reach-v3", "task_id": 7}}'

HONEST = """
class Policy:
    def reset(self, task_config):
        self.task_id = task_config["task_id"]

    def act(self, obs):
        gripper = obs["rgb"]["corner"].mean(dtype="float64") / 255
        return {"continuous": {"ee_twist": obs["proprio"]["ee_pos"].tolist() * 2, "gripper": [gripper]}}

def make_policy():
    return Policy()
"""


@pytest.fixture
async def sandbox() -> Sandbox:
    found = await probe()
    if isinstance(found, NoSandbox):
        pytest.skip(found.reason)
    return found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Makes repositories whose `policy.py` is the given source."""
    count = iter(range(100))

    def make(source: str) -> Path:
        directory = tmp_path / f"repository-{next(count)}"
        directory.mkdir(mode=0o755)
        directory.joinpath("policy.py").write_text(source)
        return directory

    return make
