"""The family `metaworld`. Loads nothing of it until the first environment is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.family import Family
from sim.native import NativeMap
from sim.spec import ARM_ACTION

if TYPE_CHECKING:
    from sim.family import Expert, Make

TASKS: tuple[str, ...] = tuple(
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


def _load() -> Make:
    from sim.metaworld.environment import MetaWorldEnvironment

    return MetaWorldEnvironment


def _expert(task: str) -> Expert:
    from sim.metaworld.experts import expert

    return expert(task)


NATIVE = NativeMap((6, 1), places=(0, 1, 2, 6), gains=(1.0, 1.0, 1.0, 2.0), offsets=(0.0, 0.0, 0.0, -1.0))
"""Of `ee_twist` the first three, of its six; and the gripper from 0 and 1 to -1 and 1."""

METAWORLD = Family("metaworld", TASKS, tuple(ARM_ACTION.channels.values()), NATIVE, _load, _expert)
