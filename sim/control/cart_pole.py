"""A cart on a rail that has to keep its pole upright."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.control.channels import CART_FORCE, CART_POLE_PROPRIO
from sim.control.physics import Physics
from sim.control.task import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    from sim.rl_interface import FloatArray


class CartPolePhysics(Physics):
    """The pole swings freely, through the cart and the floor if it must."""

    FILE = "cart_pole.xml"
    CONTROL_TIMESTEP_S = 0.02
    ACTION = CART_FORCE
    PROPRIO = CART_POLE_PROPRIO

    def proprio(self) -> dict[str, FloatArray]:
        cart_m, angle_rad, speed_m_s, turning_rad_s = self.state().astype(np.float32)
        values = {"base_pos": cart_m, "base_vel": speed_m_s, "joint_pos": angle_rad, "joint_vel": turning_rad_s}
        return {name: np.array([value], np.float32) for name, value in values.items()}

    def state(self) -> NDArray[np.float64]:
        """Positions of cart and pole, then their velocities: shape (4,)."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    @property
    def cart_m(self) -> float:
        """From the middle of the rail."""
        return float(self.data.qpos[0])

    @property
    def angle_rad(self) -> float:
        """From upright; positive leans towards positive x."""
        return float(self.data.qpos[1])

    def place(self, cart_m: float, angle_rad: float) -> None:
        self.data.qpos[:] = cart_m, angle_rad
        self.update()


UPRIGHT_MAX_RAD = 0.1
FALLEN_RAD = 0.5
RAIL_END_M = 0.95
HELD_STEPS = 100
CART_START_MAX_M = 0.3
ANGLE_START_MIN_RAD = 0.05
ANGLE_START_MAX_RAD = 0.12


class Balance:
    """Success: the pole is within 0.1 rad of upright for 100 steps (2 s) in a row.

    Beyond 0.5 rad it has fallen, and beyond 0.95 m the cart has left the rail; both end the episode.
    """

    def physics(self) -> CartPolePhysics:
        return CartPolePhysics()

    def begin(self, physics: CartPolePhysics, random: Generator) -> Mapping[str, float]:
        cart_m = random.uniform(-CART_START_MAX_M, CART_START_MAX_M)
        side = 1.0 if random.random() < 0.5 else -1.0
        angle_rad = side * random.uniform(ANGLE_START_MIN_RAD, ANGLE_START_MAX_RAD)
        physics.place(cart_m, angle_rad)
        return {"cart_m": cart_m, "angle_rad": angle_rad}

    def judge(self, physics: CartPolePhysics) -> Verdict:
        angle_rad, cart_m = abs(physics.angle_rad), abs(physics.cart_m)
        failed = angle_rad > FALLEN_RAD or cart_m > RAIL_END_M
        held_steps = physics.hold(angle_rad <= UPRIGHT_MAX_RAD and not failed)
        upright = max(0.0, 1.0 - angle_rad / FALLEN_RAD)
        centred = max(0.0, 1.0 - cart_m / RAIL_END_M)
        return Verdict(upright * centred, success=held_steps >= HELD_STEPS, failed=failed)
