"""Which environments exist, and how to get one. Cheap to import: a simulator is loaded by the first `make`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from events.ids import EnvId, split_env_id
from events.variation import NO_VARIATION
from sim.control.family import CONTROL
from sim.errors import UnknownEnvironment
from sim.metaworld.family import METAWORLD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.variation import VariationRanges
    from sim.cameras import ObservationProfile
    from sim.environment import Environment
    from sim.family import Family
    from sim.native import NativeMap
    from sim.rendering.renderer import Renderer

FAMILIES: Mapping[str, Family] = {family.name: family for family in (METAWORLD, CONTROL)}

ENVIRONMENTS: tuple[EnvId, ...] = tuple(env for family in FAMILIES.values() for env in family.environments)
"""Every environment there is."""

DEFAULT_ENVIRONMENTS: tuple[EnvId, ...] = tuple(
    EnvId(f"{METAWORLD.name}/{task}")
    for task in (
        "reach-v3",
        "push-v3",
        "pick-place-v3",
        "door-open-v3",
        "drawer-open-v3",
        "drawer-close-v3",
        "button-press-topdown-v3",
        "peg-insert-side-v3",
    )
)
"""What a cycle evaluates unless it is configured otherwise."""


def find(text: str) -> EnvId:
    """The environment of this id.

    Raises:
        UnknownEnvironment: with the closest ids there are.
    """
    if text in ENVIRONMENTS:
        return EnvId(text)
    close = _closest(text)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"known are, for example, {ENVIRONMENTS[0]} and {ENVIRONMENTS[-1]}"
    )
    raise UnknownEnvironment(f"environment {text!r} does not exist; {hint}")


def _closest(text: str) -> list[EnvId]:
    """By the task alone where only that was misspelt or given, so that a right family does not outweigh it."""
    family, _, task = text.rpartition("/")
    candidates = {
        env.removeprefix(f"{name}/"): env
        for name, known in FAMILIES.items()
        if family not in FAMILIES or family == name
        for env in known.environments
    }
    return [candidates[name] for name in difflib.get_close_matches(task, candidates, n=3, cutoff=0.5)]


def native_map(env: EnvId) -> NativeMap:
    """How this environment's native actions follow from what policies answer.

    Raises:
        UnknownEnvironment
    """
    family, _ = split_env_id(find(env))
    return FAMILIES[family].native


def make(
    env: EnvId,
    profile: ObservationProfile,
    *,
    max_steps: int,
    renderer: Renderer | None = None,
    variation: VariationRanges = NO_VARIATION,
) -> Environment:
    """An environment, not yet reset.

    The first one of a task compiles its model (MetaWorld's about 0.2 s, after 1 s for the simulator itself);
    later ones copy it.
    `renderer` draws the profile's cameras; profiles without cameras need none. `variation` is what seeds may
    change beside the placement.

    Raises:
        UnknownEnvironment: no such environment.
        GraphicsUnavailable: the profile has cameras, and no OpenGL can be loaded.
    """
    known = find(env)
    family, _ = split_env_id(known)
    return FAMILIES[family].load()(known, profile, max_steps=max_steps, renderer=renderer, variation=variation)
