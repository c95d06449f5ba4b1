"""Your policy. What is here moves the arm a little at random: put your model in its place.

Commit this file, and what it needs, to the root of your repository: whether your server acts as the committed code is
checked now and then, by `make_policy` in a sandbox that has numpy and nothing else, no network, no GPU, 4 GiB.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


class Model:
    """What is loaded once, and is the same for all episodes."""

    def __init__(self) -> None:
        """Load your weights here, from files beside this one: `/act` has a deadline of some 100 ms."""
        self.twist_max = 0.2


@functools.cache
def model() -> Model:
    """The one model of this process."""
    return Model()


class Policy:
    """One episode, from its reset on. Several run at once, each with a policy of its own."""

    seeded = True
    """States that the same `task_config` and the same observations give the same actions. Drop it if they do not."""

    def __init__(self, loaded: Model) -> None:
        self.model = loaded
        self.random = np.random.default_rng(0)

    def reset(self, task_config: Mapping[str, Any]) -> None:
        """A new episode: `env_id`, `env_name`, `task_name`, and `task_id`, its number on this environment."""
        digest = hashlib.sha256(f"{task_config.get('env_id')} {task_config.get('task_id')}".encode()).digest()
        self.random = np.random.default_rng(int.from_bytes(digest, "big"))

    def act(self, obs: Mapping[str, Any]) -> dict[str, Any]:
        """The next action: finite numbers.

        `obs["rgb"]`: images by camera, uint8 [height, width, 3], the first row at the top. `obs["proprio"]`: float32
        `ee_pos` [3] m, `ee_quat` [4] xyzw, `ee_vel_lin` [3] m/s, `ee_vel_ang` [3] rad/s, `gripper` [1] in 0 to 1.

        `ee_twist` [6]: how the hand moves, each in -1 to 1, of which the first three count (x, y, z).
        `gripper` [1]: 0 open, 1 closed.
        """
        images = [obs["rgb"][camera] for camera in sorted(obs["rgb"])]
        brightness = sum(image.mean() for image in images) / 255.0  # where your model would look
        twist = np.zeros(6, np.float32)
        twist[:3] = self.random.uniform(-self.model.twist_max, self.model.twist_max, 3)
        return {"continuous": {"ee_twist": twist, "gripper": np.array([float(brightness > 1.0)], np.float32)}}


def make_policy() -> Policy:
    """A policy for one episode. The server calls it, and so does whoever checks the committed code."""
    return Policy(model())
