"""What a task adds to the physics of its domain: a start, a goal, a reward, an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sim.control.physics import Physics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.random import Generator

P = TypeVar("P", bound=Physics)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a task makes of the state at the end of a step."""

    reward: float
    """In [0, 1]."""
    success: bool = False
    failed: bool = False
    """It cannot be made good any more: the episode ends without success."""


class Task(Protocol, Generic[P]):
    """One task. Keeps nothing of an episode: that is the physics' business."""

    def physics(self) -> P:
        """A new model and state of the task's domain."""
        ...

    def begin(self, physics: P, random: Generator) -> Mapping[str, float]:
        """Write the start of an episode; what was drawn, by name.

        Draws need nothing but additions and multiplications, so that they are the same on every machine.
        """
        ...

    def judge(self, physics: P) -> Verdict:
        """Called once at the end of each step."""
        ...
