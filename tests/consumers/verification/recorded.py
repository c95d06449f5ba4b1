"""Recorded episodes of a cycle, with real physics, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from consumers.verification.probes import Probed, Sampled
from events.cycles import EpisodeTerms
from events.ids import EnvId, Seed, Uid
from sim.episode import EpisodeResult, EpisodeSpec, run_episode
from sim.playing import play
from sim.policy import Decision, TaskConfig
from sim.rl_interface import Action, Observation
from sim.spec import ActionSpec
from sim.stage import SimulationThread
from sim.trace import decode_trace
from tests.controls import facts

ENVIRONMENTS = tuple(EnvId(f"metaworld/{task}") for task in ("reach-v3", "push-v3", "drawer-open-v3"))
TERMS = facts.TERMS.model_copy(update={"steps_max": 30, "act_deadline_ms": 2_000, "reset_deadline_ms": 20_000})
CAMERAS = TERMS.model_copy(update={"observation_profile": "rgb84/1"})


class Wandering:
    """A policy that moves at random, here: what is recorded is real, and costs no server."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None: ...

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        channels = spec.channels.values()
        return Decision(
            Action(
                {it.name: self._random.uniform(-1, 1, it.size).clip(it.minimum).astype(np.float32) for it in channels}
            ),
            1.0,
        )

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Recorded:
    uid: Uid
    spec: EpisodeSpec
    result: EpisodeResult

    async def probed(self, step: int, stage: SimulationThread) -> Probed:
        played = await play(self.spec, decode_trace(self.result.trace), step, stage)
        sample = Sampled(self.uid, self.spec.env, self.spec.index, step)
        return Probed(sample, played.observations, played.action_spec)


async def recorded(number: int, stage: SimulationThread, terms: EpisodeTerms = TERMS) -> Recorded:
    """The `number`-th episode of a cycle with three environments, of one of two miners that nobody checks."""
    spec = EpisodeSpec(
        env=ENVIRONMENTS[number % len(ENVIRONMENTS)],
        seed=Seed(1000 + number),
        index=number // len(ENVIRONMENTS),
        profile=terms.observation_profile,
        max_steps=terms.steps_max,
        variation=terms.variation,
    )
    result = await run_episode(spec, Wandering(number), stage)
    assert isinstance(result, EpisodeResult)
    return Recorded(Uid(1 + number % 2), spec, result)
