"""Which tasks exist, and how to get one. Cheap to import: the simulator is loaded by the first `make`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from events.ids import EnvId
from events.variation import NO_VARIATION
from sim.errors import UnknownEnvironment

if TYPE_CHECKING:
    from events.variation import VariationRanges
    from sim.cameras import ObservationProfile, Renderer
    from sim.environment import Environment

FAMILY = "metaworld"

METAWORLD_TASKS: tuple[str, ...] = tuple(
    """
    assembly-v3 basketball-v3 bin-picking-v3 box-close-v3 button-press-topdown-v3
    button-press-topdown-wall-v3 button-press-v3 button-press-wall-v3 coffee-button-v3 coffee-pull-v3
    coffee-push-v3 dial-turn-v3 disassemble-v3 door-close-v3 door-lock-v3 door-open-v3 door-unlock-v3
    drawer-close-v3 drawer-open-v3 faucet-close-v3 faucet-open-v3 hammer-v3 hand-insert-v3
    handle-press-side-v3 handle-press-v3 handle-pull-side-v3 handle-pull-v3 lever-pull-v3 peg-insert-side-v3
    peg-unplug-side-v3 pick-out-of-hole-v3 pick-place-v3 pick-place-wall-v3 plate-slide-back-side-v3
    plate-slide-back-v3 plate-slide-side-v3 plate-slide-v3 push-back-v3 push-v3 push-wall-v3 reach-v3
    reach-wall-v3 shelf-place-v3 soccer-v3 stick-pull-v3 stick-push-v3 sweep-into-v3 sweep-v3
    window-close-v3 window-open-v3
    """.split()  # noqa: SIM905 one name a line would fill the page
)
"""MetaWorld's own task names. Written out so that listing them costs no import of the simulator."""

ENVIRONMENTS: tuple[EnvId, ...] = tuple(EnvId(f"{FAMILY}/{task}") for task in METAWORLD_TASKS)
"""Every environment there is."""

DEFAULT_ENVIRONMENTS: tuple[EnvId, ...] = tuple(
    EnvId(f"{FAMILY}/{task}")
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
    task = text.removeprefix(f"{FAMILY}/")
    close = [f"{FAMILY}/{name}" for name in difflib.get_close_matches(task, METAWORLD_TASKS, n=3, cutoff=0.5)]
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else f"known are, for example, {ENVIRONMENTS[0]} and {ENVIRONMENTS[-1]}"
    )
    raise UnknownEnvironment(f"environment {text!r} does not exist; {hint}")


def make(
    env: EnvId,
    profile: ObservationProfile,
    *,
    max_steps: int,
    renderer: Renderer | None = None,
    variation: VariationRanges = NO_VARIATION,
) -> Environment:
    """An environment, not yet reset.

    The first one of a task compiles its model (about 0.2 s, after 1 s for the simulator itself); later
    ones copy it.
    `renderer` draws the profile's cameras; profiles without cameras need none. `variation` is what seeds may
    change beside the placement.

    Raises:
        UnknownEnvironment: no such environment.
        GraphicsUnavailable: the profile has cameras, and no OpenGL can be loaded.
    """
    from sim.metaworld.environment import (
        MetaWorldEnvironment,
    )  # loads MuJoCo and MetaWorld, which most callers never need

    return MetaWorldEnvironment(find(env), profile, max_steps=max_steps, renderer=renderer, variation=variation)
