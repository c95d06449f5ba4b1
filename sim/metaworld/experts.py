"""MetaWorld's scripted experts. Loads MetaWorld when the first is asked for."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.family import Expert
from sim.rl_interface import Action, FloatArray
from sim.spec import ARM_ACTION

if TYPE_CHECKING:
    from sim.family import State

STATE_SIZE = 39
OBJECT_POSITION = slice(4, 7)
"""Of the task's (first) object, in MetaWorld's state vector."""


@functools.cache
def expert(task: str) -> Expert:
    """The expert of this task. It sees the object wrongly if it is noisy, and the goal as it is."""
    from metaworld.policies import ENV_POLICY_MAP

    warnings.filterwarnings("ignore", "Constant.s. may be too high", module="metaworld.policies")
    policy_class: Any = ENV_POLICY_MAP[task]
    policy = policy_class()

    def act(state: State) -> Action:
        return _action(policy.get_action(state))

    return Expert(act, STATE_SIZE, OBJECT_POSITION)


def _action(native: FloatArray) -> Action:
    """The wire action that becomes this native one, brought into bounds."""
    bounded = np.clip(native, -1.0, 1.0)
    twist = np.zeros(ARM_ACTION.channels["ee_twist"].size, np.float32)
    twist[:3] = bounded[:3]
    gripper = ((bounded[3:] + 1.0) / 2.0).astype(np.float32)
    return Action({"ee_twist": twist, "gripper": gripper})
