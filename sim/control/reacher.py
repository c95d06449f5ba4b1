"""A two-link arm that has to bring its fingertip to a target on the table, and to rest there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

from sim.control.channels import JOINT_TORQUE, REACHER_PROPRIO
from sim.control.physics import Physics
from sim.control.task import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator
    from numpy.typing import NDArray

    from sim.rl_interface import FloatArray

SITE = mujoco.mjtObj.mjOBJ_SITE


class ReacherPhysics(Physics):
    """The arm turns about vertical axes; the target is a disc that touches nothing."""

    FILE = "reacher.xml"
    CONTROL_TIMESTEP_S = 0.02
    ACTION = JOINT_TORQUE
    PROPRIO = REACHER_PROPRIO
    ROBOT = ("upper_arm",)

    def __init__(self) -> None:
        super().__init__()
        self._fingertip = self.model.site("fingertip").id

    def proprio(self) -> dict[str, FloatArray]:
        return {"joint_pos": self.data.qpos.astype(np.float32), "joint_vel": self.data.qvel.astype(np.float32)}

    def state(self) -> NDArray[np.float64]:
        """Joint positions, joint velocities, and x, y of the target: shape (6,)."""
        return np.concatenate([self.data.qpos, self.data.qvel, self.target_m])

    @property
    def target_m(self) -> NDArray[np.float64]:
        """X and y."""
        target: NDArray[np.float64] = self.data.mocap_pos[0, :2]
        return target

    @property
    def distance_squared_m2(self) -> float:
        """Between the fingertip and the target, seen from above."""
        apart = self.data.site_xpos[self._fingertip, :2] - self.target_m
        return float(apart @ apart)

    @property
    def fingertip_speed_squared_m2_s2(self) -> float:
        velocity = np.empty(6, np.float64)
        mujoco.mj_objectVelocity(self.model, self.data, SITE, self._fingertip, velocity, 0)
        return float(velocity[3:] @ velocity[3:])

    def place(self, joints_rad: tuple[float, float], target_m: tuple[float, float]) -> None:
        self.data.qpos[:] = joints_rad
        self.data.mocap_pos[0, :2] = target_m
        self.update()


TARGET_RADIUS_M = 0.02
"""As it is drawn in the MJCF."""
SPEED_MAX_M_S = 0.05
HELD_STEPS = 10
START_DISTANCE_MIN_M = 0.1
ELBOW_START_MAX_RAD = 2.5
REACH_MIN_M = 0.08
REACH_MAX_M = 0.22


class Reach:
    """Success: the fingertip is over the target, slower than 5 cm/s, for 10 steps (0.2 s) in a row."""

    def physics(self) -> ReacherPhysics:
        return ReacherPhysics()

    def begin(self, physics: ReacherPhysics, random: Generator) -> Mapping[str, float]:
        while True:
            shoulder = random.uniform(-3.14, 3.14)
            elbow = random.uniform(-ELBOW_START_MAX_RAD, ELBOW_START_MAX_RAD)
            x, y = _target(random)
            physics.place((shoulder, elbow), (x, y))
            if physics.distance_squared_m2 >= START_DISTANCE_MIN_M**2:
                return {"shoulder_rad": shoulder, "elbow_rad": elbow, "target_x_m": x, "target_y_m": y}

    def judge(self, physics: ReacherPhysics) -> Verdict:
        distance_squared = physics.distance_squared_m2
        rests = physics.fingertip_speed_squared_m2_s2 <= SPEED_MAX_M_S**2
        held_steps = physics.hold(distance_squared <= TARGET_RADIUS_M**2 and rests)
        reward = 1.0 / (1.0 + distance_squared / TARGET_RADIUS_M**2)
        return Verdict(reward, success=held_steps >= HELD_STEPS)


def _target(random: Generator) -> tuple[float, float]:
    """Uniform over the ring that the fingertip can reach."""
    while True:
        x, y = random.uniform(-REACH_MAX_M, REACH_MAX_M), random.uniform(-REACH_MAX_M, REACH_MAX_M)
        if REACH_MIN_M**2 <= x * x + y * y <= REACH_MAX_M**2:
            return x, y
