"""A MuJoCo model of ours and its state; each domain says what its bodies are."""

from __future__ import annotations

import copy
import functools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import mujoco
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.environment import NativeAction
    from sim.rl_interface import FloatArray
    from sim.spec import Channel

FOLDER = Path(__file__).parent
HELD_STEPS = 0
"""Index into `userdata`."""


@functools.cache
def _compiled(file: str) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(FOLDER / file))


class Physics(ABC):
    """What every domain does with its model.

    Nothing of an episode is kept outside MuJoCo's integration state, so that the digest of the state is one of
    the whole episode.
    """

    FILE: ClassVar[str]
    """Of the MJCF, beside this module. It has the cameras `corner` and `corner2`, upright, and `nuserdata` 1."""
    CONTROL_TIMESTEP_S: ClassVar[float]
    """A multiple of the model's own timestep."""
    ACTION: ClassVar[Channel]
    """One value an actuator, in the model's order."""
    PROPRIO: ClassVar[tuple[Channel, ...]]
    ROBOT: ClassVar[tuple[str, ...]] = ()
    """Bodies that, with all that hangs on them, are always the same: what a policy may know by heart."""

    def __init__(self) -> None:
        self.model = copy.copy(_compiled(self.FILE))
        self.data = mujoco.MjData(self.model)
        self._physics_steps = round(self.CONTROL_TIMESTEP_S / self.model.opt.timestep)

    @abstractmethod
    def proprio(self) -> dict[str, FloatArray]:
        """What the robot knows of itself, by the channels of `PROPRIO`."""

    @abstractmethod
    def state(self) -> NDArray[np.float64]:
        """Everything there is to know, for experts and tests: shape (n,) of the domain."""

    @property
    def held_steps(self) -> int:
        """For how many control steps in a row the task's condition has held."""
        return int(self.data.userdata[HELD_STEPS])

    def hold(self, holds: bool) -> int:
        """Count this control step; how many in a row it is now."""
        self.data.userdata[HELD_STEPS] = self.held_steps + 1 if holds else 0
        return self.held_steps

    def reset(self) -> None:
        """Everything as the MJCF has it."""
        mujoco.mj_resetData(self.model, self.data)

    def update(self) -> None:
        """Let everything that follows from positions and velocities follow from those that were just written."""
        mujoco.mj_forward(self.model, self.data)

    def step(self, control: NativeAction) -> None:
        """Advance by one control step. What is read afterwards belongs to the state at its end."""
        self.data.ctrl[:] = control
        mujoco.mj_step(self.model, self.data, nstep=self._physics_steps)
        mujoco.mj_step1(self.model, self.data)
