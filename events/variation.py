"""How far the simulation may differ from one episode to the next: ranges that a plan states and a seed draws from.

A factor range f means: multiplied by a factor from [1/f, f], as likely above 1 as below; 1 leaves things as they
are. How it is drawn, to the last digit, and what it is applied to is the simulation's business
(`sim/randomization.py`, and for people docs/variation.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import orjson
from pydantic import Field

from events.event import Text, Value

Factor = Annotated[float, Field(ge=1.0, le=10.0)]


class VariationRanges(Value):
    """The ranges of procedural variation. Object and goal placement always vary, as far as the task itself allows."""

    name: Text
    """Of these very numbers, for people: a preset's name and version."""
    friction_factor: Factor = 1.0
    """Of the friction of every contact."""
    damping_factor: Factor = 1.0
    """Of the damping and the friction loss of the joints of everything that is not the robot."""
    mass_factor: Factor = 1.0
    """Of the mass of everything movable that is not the robot, and of its inertia by as much."""
    light_factor: Factor = 1.0
    """Of the brightness of each light, and of the one that shines from the camera."""
    light_shift_m: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """How far each light may stand from its place, along each axis. One that has none shines as if from 1 m away."""
    field_of_view_factor: Annotated[float, Field(ge=1.0, le=1.5)] = 1.0
    """Of each camera's vertical field of view."""


NO_VARIATION = VariationRanges(name="none")
"""Placement alone varies."""

STANDARD = VariationRanges(
    name="standard/1",
    friction_factor=1.3,
    damping_factor=1.5,
    mass_factor=1.3,
    light_factor=1.5,
    light_shift_m=0.2,
    field_of_view_factor=1.05,
)
"""Scripted experts solve the tasks as reliably as without it, but one: docs/variation.md."""

PRESETS = {ranges.name: ranges for ranges in (NO_VARIATION, STANDARD)}


def variation_digest(drawn: Mapping[str, float]) -> str:
    """`Evidence.variation_digest` of what a seed drew, by name; numbers as their shortest decimals that read back."""
    return hashlib.sha256(orjson.dumps(dict(drawn), option=orjson.OPT_SORT_KEYS)).hexdigest()
