"""A family of environments: its tasks, how to get one of them, and who can solve them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from events.ids import EnvId

if TYPE_CHECKING:
    from collections.abc import Callable

    from events.variation import VariationRanges
    from sim.cameras import ObservationProfile
    from sim.environment import Environment
    from sim.native import NativeMap
    from sim.rendering.renderer import Renderer
    from sim.rl_interface import Action
    from sim.spec import Channel

State = NDArray[Any]
"""float64 (n,): the `state` that the profile `state/1` puts under `extra`."""


class Make(Protocol):
    """What makes an environment of a family, not yet reset."""

    def __call__(
        self,
        env: EnvId,
        profile: ObservationProfile,
        *,
        max_steps: int,
        renderer: Renderer | None,
        variation: VariationRanges,
    ) -> Environment: ...


@dataclass(frozen=True, slots=True)
class Expert:
    """A task's scripted expert: from the full state to an action, without a memory."""

    act: Callable[[State], Action]
    state_size: int
    seen: slice
    """The part of the state that a robot would have to see, which a noisy expert sees wrongly."""


@dataclass(frozen=True, slots=True)
class Family:
    """Tasks that are made in the same way, all named `family/task`. Knowing it must not load a simulator."""

    name: str
    tasks: tuple[str, ...]
    actions: tuple[Channel, ...]
    """Every channel that any of its environments understands."""
    native: NativeMap
    load: Callable[[], Make]
    """Imports what its environments need."""
    expert: Callable[[str], Expert]
    """Of the task of this name; imports what it needs."""

    @property
    def environments(self) -> tuple[EnvId, ...]:
        return tuple(EnvId(f"{self.name}/{task}") for task in self.tasks)
