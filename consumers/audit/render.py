"""An episode once more, this time drawn: what the cameras saw, at a size that people can look at."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from consumers.audit.drawing import Film, Picture, Sheet, Sink, captioned
from sim.cameras import REPLAY_1, ObservationProfile
from sim.environment import Environment
from sim.episode import EpisodeSpec
from sim.rendering.renderer import Renderer
from sim.suite import make
from sim.trace import Recording

if TYPE_CHECKING:
    from mujoco import MjData, MjModel

SUFFIXES = (".mp4", ".png")


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came out."""

    steps: int
    fps: float
    """Of real time: control steps per second."""
    final_state_digest: str
    """To be compared with the outcome's: drawing changes no physics."""


def render(spec: EpisodeSpec, actions: NDArray[np.float32], path: Path, *, title: str, ending: str) -> Drawn:
    """Runs the episode again and draws it into `path`, in this process: `.mp4` is a film, `.png` a sheet.

    `title` stands on every picture, `ending` on the last.

    Raises:
        GraphicsUnavailable: no OpenGL can be loaded.
        InvalidAction: these actions cannot be run.
        OSError: the file cannot be written.
    """
    steps = len(actions)
    with closing(_Chosen()) as renderer:
        environment = make(spec.env, REPLAY_1, max_steps=spec.max_steps, renderer=renderer, variation=spec.variation)
        with closing(environment), closing(_sink(path, environment, steps)) as sink:
            recording = Recording(environment)
            rgb, caption = recording.reset(spec.seed).rgb, "start"
            for step, native in enumerate(actions, start=1):
                if rgb:
                    sink.add(_picture(rgb, f"{title}   {caption}"))
                renderer.draws = sink.wants(step)
                result = recording.step_native(native)
                rgb, caption = result.observation.rgb, f"step {step} of {steps}   reward {result.reward:.2f}"
                if result.done:
                    break
            outcome = recording.outcome()
            if rgb:
                sink.add(_picture(rgb, f"{title}   {caption}   {outcome.total_reward:.1f} in all   {ending}"))
            return Drawn(outcome.steps, _fps(environment), outcome.final_state_digest)


class _Chosen(Renderer):
    """Draws only where a picture is wanted: each takes 0.2 s in software, and a sheet shows twelve of 500."""

    draws = True

    def frames(self, key: str, profile: ObservationProfile, model: MjModel, data: MjData) -> Mapping[str, Picture]:
        return super().frames(key, profile, model, data) if self.draws else {}


def _sink(path: Path, environment: Environment, steps: int) -> Sink:
    return Film(path, steps, _fps(environment)) if path.suffix.lower() == ".mp4" else Sheet(path, steps)


def _fps(environment: Environment) -> float:
    return 1 / environment.control_timestep_s


def _picture(rgb: Mapping[str, Picture], caption: str) -> Picture:
    return captioned([rgb[camera.name] for camera in REPLAY_1.cameras], caption)
