"""Scripted experts of the control tasks: pure functions from the full state to an action. Load no simulator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sim.control.channels import CART_FORCE, JOINT_TORQUE
from sim.family import Expert
from sim.rl_interface import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.family import State
    from sim.spec import Channel

LINK_M = 0.12
"""Of both links of the reacher."""
REACHER_STIFFNESS = 4.0
REACHER_DAMPING = 0.6

BALANCE_GAINS = np.array([0.825, 6.03, 0.957, 1.10])
"""Of cart, angle, and their speeds: the linear-quadratic regulator of the upright cart-pole at 20 ms, for costs
of 1, 10, 0.1 and 0.1 on the squares of the state and 1 on that of the action."""


def reach(state: State) -> Action:
    """Joint angles from inverse kinematics, and a spring and a damper towards them.

    The elbow stays on the side on which it is.
    """
    shoulder, elbow, *speeds, x, y = state.tolist()
    cosine = (x * x + y * y - 2 * LINK_M**2) / (2 * LINK_M**2)
    elbow_goal = math.copysign(math.acos(min(1.0, max(-1.0, cosine))), elbow)
    across, along = LINK_M * math.sin(elbow_goal), LINK_M * (1.0 + math.cos(elbow_goal))
    shoulder_goal = math.atan2(y, x) - math.atan2(across, along)
    errors = np.array([math.remainder(shoulder_goal - shoulder, math.tau), elbow_goal - elbow])
    torque = REACHER_STIFFNESS * errors - REACHER_DAMPING * np.array(speeds)
    return _action(JOINT_TORQUE, torque)


def balance(state: State) -> Action:
    """Drive the cart under the pole, and back to the middle."""
    return _action(CART_FORCE, np.array([BALANCE_GAINS @ state]))


def _action(channel: Channel, values: State) -> Action:
    return Action({channel.name: np.clip(values, channel.minimum, channel.maximum).astype(np.float32)})


EXPERTS: Mapping[str, Expert] = {
    "cart-pole-balance-v1": Expert(balance, state_size=4, seen=slice(1, 2)),
    "reacher-v1": Expert(reach, state_size=6, seen=slice(4, 6)),
}
"""By task. Noise is seen on the pole's angle, and on the reacher's target."""
