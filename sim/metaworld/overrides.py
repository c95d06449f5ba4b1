"""MetaWorld's task classes without their cost per step, and otherwise the same to the last bit.

Two ways, both from outside. Where MetaWorld asks the simulation the slow way, a method is overridden. Where its
own code is as it should be and only calls something slow, as in the rewards, that code runs as it is, but finds
the functions of `sim.metaworld.arithmetic` under the names of the originals: the functions are bound anew, to
other globals. Neither touches MetaWorld's modules, so its own classes stay what they are.
"""

from __future__ import annotations

import copy
import functools
import math
import types
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np
from metaworld.env_dict import ENV_CLS_MAP

from sim.metaworld.arithmetic import REPLACED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

METAWORLD = "metaworld."
GRIPPER_WIDTH_M = 0.1
MOCAP_QUAT_WXYZ = (1, 0, 1, 0)
OBJECTS_START = 4
"""In the state vector, after the hand's position and the gripper's opening; 7 numbers for each object follow."""


@functools.cache
def task_class(task: str) -> type[Any]:
    """MetaWorld's class of the task, with what we override in it from outside."""
    original = ENV_CLS_MAP[task]
    return type(original.__name__, (_Overrides, _bound_anew(original)), {})


@functools.lru_cache(maxsize=64)
def _compiled(path: str) -> mujoco.MjModel:
    """The model of an XML file. Compiling takes 140-200 ms, copying it 7."""
    return mujoco.MjModel.from_xml_path(path)


class _Overrides:
    """Mixed into MetaWorld's classes. Each method computes what the one that it overrides computes."""

    fullpath: str
    model: mujoco.MjModel
    data: mujoco.MjData
    _body_xpos: dict[str, Vector]
    _site_xpos: dict[str, Vector]
    action_scale: float
    mocap_low: Vector
    mocap_high: Vector
    _partially_observable: bool
    _prev_obs: Vector
    _obs_obj_max_len: int

    # MetaWorld puts these sites into place before its forward pass, which computes them all from the model.
    _target_site_config = ()

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        model = copy.copy(_compiled(self.fullpath))
        data = mujoco.MjData(model)
        # Views into the simulation: looking them up by name takes longer than reading them.
        self._body_xpos = {model.body(i).name: data.xpos[i] for i in range(model.nbody)}
        self._site_xpos = {model.site(i).name: data.site_xpos[i] for i in range(model.nsite)}
        self._mocap_pos, self._mocap_quat, self._ctrl = data.mocap_pos[0], data.mocap_quat[0], data.ctrl
        self._pads = model.geom("leftpad_geom").id, model.geom("rightpad_geom").id
        return model, data

    def get_body_com(self, body_name: str) -> Vector:
        return self._body_xpos[body_name]

    def get_endeff_pos(self) -> Vector:
        return self._body_xpos["hand"]

    def _get_site_pos(self, site_name: str) -> Vector:
        return self._site_xpos[site_name].copy()

    @property
    def tcp_center(self) -> Vector:
        center: Vector = (self._site_xpos["rightEndEffector"] + self._site_xpos["leftEndEffector"]) / 2.0
        return center

    def set_xyz_action(self, action: NDArray[np.float32]) -> None:
        target = self._mocap_pos + action.clip(-1, 1) * self.action_scale
        self._mocap_pos[:] = target.clip(self.mocap_low, self.mocap_high)
        self._mocap_quat[:] = MOCAP_QUAT_WXYZ

    def do_simulation(self, ctrl: Any, n_frames: int) -> None:
        # Without mj_rnePostConstraint: nothing here reads the forces between bodies that it computes.
        self._ctrl[:] = ctrl
        mujoco.mj_step(self.model, self.data, nstep=n_frames)

    def touching_object(self, object_geom_id: int) -> Any:
        left, right = self._pads
        contacts = self.data.contact
        pairs = contacts.geom.tolist()
        on_left = [n for n, pair in enumerate(pairs) if left in pair and object_geom_id in pair]
        on_right = [n for n, pair in enumerate(pairs) if right in pair and object_geom_id in pair]
        if not on_left or not on_right:
            return False
        force, address = self.data.efc_force, contacts.efc_address
        return sum(force[address[n]] for n in on_left) > 0 and sum(force[address[n]] for n in on_right) > 0

    def _get_obs(self) -> Vector:
        goal = self._get_pos_goal()  # type: ignore[attr-defined]
        if self._partially_observable:
            goal = np.zeros_like(goal)
        current = self._get_curr_obs_combined_no_goal()
        state = np.concatenate((current, self._prev_obs, goal))
        self._prev_obs = current
        return state

    def _get_curr_obs_combined_no_goal(self) -> Vector:
        between_fingers = self._body_xpos["rightclaw"] - self._body_xpos["leftclaw"]
        opening = math.sqrt(between_fingers.dot(between_fingers)) / GRIPPER_WIDTH_M
        positions, quats = self._get_pos_objects(), self._get_quat_objects()  # type: ignore[attr-defined]
        state = np.zeros(OBJECTS_START + self._obs_obj_max_len)
        state[:3] = self._body_xpos["hand"]
        state[3] = min(max(opening, 0.0), 1.0)
        for n in range(len(positions) // 3):
            start = OBJECTS_START + 7 * n
            state[start : start + 3] = positions[3 * n : 3 * n + 3]
            state[start + 3 : start + 7] = quats[4 * n : 4 * n + 4]
        return state


def _bound_anew(original: type[Any]) -> type[Any]:
    """A subclass in which MetaWorld's methods are its own code with `REPLACED` among their globals."""
    own = [base for base in reversed(original.__mro__) if base.__module__.startswith(METAWORLD)]
    members = {name: member for base in own for name, member in vars(base).items()}
    bound = type(original.__name__, (original,), {})
    replaced = {**REPLACED, original.__name__: bound}
    for name, member in members.items():
        if not name.startswith("__") and (anew := _rebound(member, replaced)) is not member:
            setattr(bound, name, anew)
    return bound


def _rebound(member: Any, replaced: dict[str, Any]) -> Any:
    """A function, static method or property with other globals; anything else as it is."""
    match member:
        case types.FunctionType():
            return _with_globals(member, replaced)
        case staticmethod():
            return staticmethod(_with_globals(member.__func__, replaced))
        case property(fget=types.FunctionType()):
            return property(_with_globals(member.fget, replaced))
    return member


def _with_globals(function: Any, replaced: dict[str, Any]) -> types.FunctionType:
    """The function, and what a decorator wrapped in it, with those of its globals replaced that it has."""
    known = {name: value for name, value in replaced.items() if name in function.__globals__}
    cells = function.__closure__
    if cells is not None:
        contents = (_rebound(cell.cell_contents, replaced) for cell in cells)
        cells = tuple(
            cell if new is cell.cell_contents else types.CellType(new)
            for cell, new in zip(cells, contents, strict=True)
        )
    anew = types.FunctionType(
        function.__code__, {**function.__globals__, **known}, function.__name__, function.__defaults__, cells
    )
    anew.__kwdefaults__ = function.__kwdefaults__
    return anew
