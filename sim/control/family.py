"""The family `control`. Loads nothing of it until the first environment is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.control.channels import CART_FORCE, JOINT_TORQUE
from sim.control.experts import EXPERTS
from sim.family import Family
from sim.native import AS_IT_IS

if TYPE_CHECKING:
    from sim.family import Make


def _load() -> Make:
    from sim.control.environment import ControlEnvironment

    return ControlEnvironment


CONTROL = Family("control", tuple(sorted(EXPERTS)), (CART_FORCE, JOINT_TORQUE), AS_IT_IS, _load, EXPERTS.__getitem__)
