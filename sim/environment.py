"""One simulated task, as the rest of the system sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from events.ids import EnvId, Seed
    from sim.rl_interface import Action, Observation
    from sim.spec import ActionSpec, ObservationSpec

NativeAction = NDArray[np.float32]
"""What the simulator itself is driven with, shape (n,) of the environment. Recorded, digested and
replayed.
"""

SEED_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step brought. `terminated` and `truncated` are apart, and `success` is neither."""

    observation: Observation
    reward: float
    terminated: bool
    """The episode reached its own end: success, a failure that is final, or physics that diverged."""
    truncated: bool
    """The episode ran into its step limit."""
    success: bool

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


class Environment(Protocol):
    """One seed gives one episode, bit for bit, in a fresh or a reused environment, in any process.

    Not thread-safe: all environments of a process, and what draws them, live on one thread.
    """

    @property
    def env(self) -> EnvId: ...

    @property
    def action_spec(self) -> ActionSpec: ...

    @property
    def observation_spec(self) -> ObservationSpec: ...

    @property
    def control_timestep_s(self) -> float:
        """How much simulated time a step takes."""
        ...

    @property
    def variation(self) -> Mapping[str, float]:
        """What was sampled from the seed of the running episode, by name."""
        ...

    def reset(self, seed: Seed) -> Observation:
        """Begin the episode of this seed.

        Raises:
            ValueError: the seed is not an unsigned 64-bit integer.
        """
        ...

    def native_action(self, action: Action) -> NativeAction:
        """What `step` drives the simulator with for this action."""
        ...

    def step(self, action: Action) -> StepResult:
        """`step_native(native_action(action))`."""
        ...

    def step_native(self, native: NativeAction) -> StepResult:
        """Advance by one control step.

        Raises:
            InvalidAction: wrong shape or type, or not finite; the physics was not touched.
            SimulationFailed: the episode has ended, or none was begun.
        """
        ...

    def state_digest(self) -> str:
        """SHA-256 (hex) of everything the next step depends on.

        Over the float64 little-endian bytes of MuJoCo's `mjSTATE_INTEGRATION` vector: time, qpos, qvel,
        activations, solver warm start, controls, applied forces, mocap poses.
        """
        ...

    def close(self) -> None:
        """Free what the environment holds. It cannot be used again."""
        ...
