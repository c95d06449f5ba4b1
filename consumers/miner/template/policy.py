"""Your policy. What is here moves the arm a little at random: put your model in its place.

One `Policy` serves every episode, and several episodes run at once. What belongs to one episode lives in what `reset`
returns, which `act` is given back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Observation:
    """What the robot senses. Cameras and proprioception are in the order of their names."""

    images: NDArray[np.uint8]
    """(cameras, height, width, 3), RGB, the first row at the top: a batch, as vision models take it."""
    proprio: Mapping[str, NDArray[np.float32]]
    """`ee_pos` [3] m, `ee_quat` [4] xyzw, `ee_vel_lin` [3] m/s, `ee_vel_ang` [3] rad/s, `gripper` [1] in 0 to 1."""


@dataclass
class Episode:
    """What the policy remembers of one episode."""

    task: Mapping[str, Any]
    """`env_id`, `env_name`, `task_name` and `task_id`, the number of the episode on this environment."""
    random: np.random.Generator


class Policy:
    """Answers to the two questions of an evaluation."""

    def __init__(self) -> None:
        """Load the model here: `/act` has a deadline of some 100 ms, from the first one on."""

    def reset(self, task: Mapping[str, Any]) -> Episode:
        """A new episode. The same task gives the same episode, so whoever asks again gets the same answers."""
        digest = hashlib.sha256(f"{task.get('env_id')} {task.get('task_id')}".encode()).digest()
        return Episode(task, np.random.default_rng(int.from_bytes(digest, "big")))

    def act(self, episode: Episode, observation: Observation) -> dict[str, NDArray[np.float32]]:
        """The next action: finite numbers.

        `ee_twist` [6]: how the hand moves, each in -1 to 1, of which the first three count (x, y, z).
        `gripper` [1]: 0 open, 1 closed.
        """
        brightness = observation.images.mean(axis=(1, 2, 3)).sum() / 255.0  # where your model would look
        twist = np.zeros(6, np.float32)
        twist[:3] = episode.random.uniform(-0.2, 0.2, 3)
        return {"ee_twist": twist, "gripper": np.array([float(brightness > 1.0)], np.float32)}
