"""Shapes, units and bounds of what an environment exchanges with a policy."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Channel:
    """A named vector of `size` float32 numbers in [minimum, maximum], measured in `unit` (`1`: no unit)."""

    name: str
    size: int
    minimum: float
    maximum: float
    unit: str


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """The channels that an environment understands. A channel that an action leaves out is zero."""

    channels: Mapping[str, Channel]

    @classmethod
    def of(cls, *channels: Channel) -> ActionSpec:
        return cls(MappingProxyType({channel.name: channel for channel in channels}))


@dataclass(frozen=True, slots=True)
class ObservationSpec:
    """What a policy is given: proprioception, images per camera, and the keys under `extra`."""

    proprio: Mapping[str, Channel]
    image_shapes: Mapping[str, tuple[int, int, int]]
    """Camera -> (height, width, 3), uint8 RGB, the first row at the top."""
    extra: tuple[str, ...] = ()


INFINITY = float("inf")

PROPRIO: Mapping[str, Channel] = MappingProxyType(
    {
        channel.name: channel
        for channel in (
            Channel("ee_pos", 3, -INFINITY, INFINITY, "m"),
            Channel("ee_quat", 4, -1.0, 1.0, "xyzw"),
            Channel("ee_vel_lin", 3, -INFINITY, INFINITY, "m/s"),
            Channel("ee_vel_ang", 3, -INFINITY, INFINITY, "rad/s"),
            Channel("gripper", 1, 0.0, 1.0, "1"),
        )
    }
)
"""Proprioception of an arm. `gripper` is 0 open, 1 closed, as in actions."""

ARM_ACTION = ActionSpec.of(
    Channel("ee_twist", 6, -1.0, 1.0, "1"),
    Channel("gripper", 1, 0.0, 1.0, "1"),
)
"""An arm without orientation control: `ee_twist[:3]` spans the full range of motion per step, `ee_twist[3:]`
is ignored; `gripper` is 0 open, 1 closed, so that a policy that leaves it out keeps the gripper open."""
