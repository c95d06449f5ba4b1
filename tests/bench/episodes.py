"""Episode stepping against raw physics and against MetaWorld, on one core: `python -m tests.bench.episodes`.

Every ratio is within this run, and every step along the very trajectory of the expert's episode. Raw physics is
`mj_step` of one control step with nothing around it; `forward` is with MetaWorld's own forward pass after it,
which moves the solver's warm start and so belongs to the trajectory; `MetaWorld` is its own class, untouched.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from statistics import fmean
from typing import Any, NamedTuple

import mujoco
import numpy as np
from metaworld.env_dict import ENV_CLS_MAP

from events.ids import EnvId, Seed, split_env_id
from sim.cameras import RGB84_1, STATE_1
from sim.experts import PolicyKind, decide
from sim.metaworld.environment import MetaWorldEnvironment, begin, prepared
from sim.rendering.renderer import Renderer
from sim.rl_interface import encode_act_request
from sim.suite import DEFAULT_ENVIRONMENTS
from sim.trace import Recording

SEED = Seed(101)
SECONDS_PER_ROUND = 0.05
ROUNDS = 5
"""Of which the fastest counts; the ways take turns, so that a busy machine slows all of them."""


def main() -> None:
    renderer = Renderer()
    table = []
    print(f"{'us per step':32s}{HEADINGS}")
    for env in DEFAULT_ENVIRONMENTS:
        table.append(measured(env, renderer))
        print(f"{env:32s}{table[-1]}")
    print(f"{'mean':32s}{Microseconds(*map(fmean, zip(*table, strict=True)))}")
    renderer.close()


HEADINGS = "".join(
    f"{name:>10s}" for name in ("raw", "forward", "MetaWorld", "ours", "cameras", "raw/ours", "MW/ours")
)


class Microseconds(NamedTuple):
    """Of one step, each way."""

    raw: float
    forward: float
    metaworld: float
    ours: float
    drawn: float

    def __str__(self) -> str:
        times = "".join(f"{value:10.1f}" for value in self)
        return f"{times}{self.raw / self.ours:10.2f}{self.metaworld / self.ours:10.2f}"


def measured(env: EnvId, renderer: Renderer) -> Microseconds:
    """Of the expert's episode in this environment."""
    actions = expert_actions(env)
    ours = MetaWorldEnvironment(env, STATE_1, max_steps=501)
    drawn = MetaWorldEnvironment(env, RGB84_1, max_steps=501, renderer=renderer)
    untouched = prepared(ENV_CLS_MAP[split_env_id(env)[1]](), 501)

    def reset() -> None:
        ours.reset(SEED)

    def reset_untouched() -> None:
        begin(untouched, SEED)

    ways: list[tuple[Callable[[], Any], Callable[[np.ndarray], Any]]] = [
        (reset, functools.partial(raw_step, ours)),
        (reset, functools.partial(raw_step_and_forward, ours)),
        (reset_untouched, untouched.step),
        (reset, ours.step_native),
        (lambda: drawn.reset(SEED), drawn.step_native),
    ]
    rounds = [[timed(actions, *way) for way in ways] for _ in range(ROUNDS)]
    ours.close()
    drawn.close()
    untouched.close()
    return Microseconds(*map(min, zip(*rounds, strict=True)))


def expert_actions(env: EnvId) -> list[np.ndarray]:
    """The native actions of the expert's episode."""
    recording = Recording(MetaWorldEnvironment(env, STATE_1, max_steps=500))
    observation = recording.reset(SEED)
    while not (result := recording.step(decide(PolicyKind.EXPERT, encode_act_request(observation)))).done:
        observation = result.observation
    return list(recording.actions)


def timed(actions: list[np.ndarray], reset: Callable[[], Any], step: Callable[[np.ndarray], Any]) -> float:
    """Microseconds per step, without the resets between."""
    spent_s, steps = 0.0, 0
    while spent_s < SECONDS_PER_ROUND:
        reset()
        started_s = time.perf_counter()
        for action in actions:
            step(action)
        spent_s += time.perf_counter() - started_s
        steps += len(actions)
    return spent_s / steps * 1e6


def raw_step(environment: MetaWorldEnvironment, action: np.ndarray) -> None:
    native, data = environment._native, environment._data
    data.mocap_pos[0] = np.clip(
        data.mocap_pos[0] + action[:3] * native.action_scale, native.mocap_low, native.mocap_high
    )
    data.ctrl[:] = action[3], -action[3]
    mujoco.mj_step(environment._model, data, nstep=native.frame_skip)


def raw_step_and_forward(environment: MetaWorldEnvironment, action: np.ndarray) -> None:
    raw_step(environment, action)
    mujoco.mj_forward(environment._model, environment._data)


if __name__ == "__main__":
    main()
