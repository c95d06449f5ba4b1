"""An episode once more, for what the policy saw in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import SimulationFailed
from sim.trace import Recording, Track

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sim.episode import EpisodeSpec
    from sim.rl_interface import Observation
    from sim.spec import ActionSpec
    from sim.stage import SimulationThread


@dataclass(frozen=True, slots=True)
class Played:
    """The observations that came before the actions 0, 1, 2, ..., as the policy was given them."""

    observations: tuple[Observation, ...]
    """A camera's images make most of it: 42 kB each with two of 84 pixels."""
    action_spec: ActionSpec
    track: Track
    """What the simulator answered until then."""


async def play(spec: EpisodeSpec, actions: NDArray[np.float32], step: int, stage: SimulationThread) -> Played:
    """Runs the recorded actions, shape (steps, action size), and returns the observations 0 to `step`.

    Raises:
        UnknownEnvironment, UnknownProfile, GraphicsUnavailable, InvalidAction: these cannot be run here.
        SimulationFailed: the episode ends before the step, or was not recorded so far.
    """
    if step >= len(actions):
        raise SimulationFailed(f"{spec.env} #{spec.index}: {len(actions)} actions were recorded, none at step {step}")
    async with stage.environment(
        spec.env, spec.profile, max_steps=spec.max_steps, variation=spec.variation
    ) as environment:
        recording = Recording(environment)
        observations = [await stage.run(recording.reset, spec.seed)]
        for native in actions[:step]:
            result = await stage.run(recording.step_native, native)
            if result.done:
                raise SimulationFailed(
                    f"{spec.env} #{spec.index}: played again it ends after {len(observations)} steps, and recorded"
                    f" were {len(actions)}: is this another version of the simulator, or another kind of CPU?"
                )
            observations.append(result.observation)
        return Played(tuple(observations), environment.action_spec, recording.track())
