"""Policies without a network, for tests of everything else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.environment import Environment
from sim.experts import PolicyKind, decide
from sim.policy import Decision, TaskConfig
from sim.rl_interface import Action, Observation, encode_act_request
from sim.spec import ActionSpec

NOTHING = Action({})


class InProcessPolicy:
    """Answers with what `choose` makes of the observation."""

    def __init__(self, choose: Callable[[Observation], Action]) -> None:
        self._choose = choose

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None:
        pass

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        return Decision(self._choose(observation), latency_ms=1.0)

    async def close(self) -> None:
        pass


def expert(observation: Observation) -> Action:
    return decide(PolicyKind.EXPERT, encode_act_request(observation))


def twist(x: float = 0.0, y: float = 0.0, z: float = 0.0, *, gripper: float = 0.0) -> Action:
    return Action(
        {
            "ee_twist": np.array([x, y, z, 0, 0, 0], np.float32),
            "gripper": np.array([gripper], np.float32),
        }
    )


def run_expert(environment: Environment, seed: int) -> list[bytes]:
    """The observations of an expert's episode, encoded, and the final state's digest."""
    from events.ids import Seed

    observation = environment.reset(Seed(seed))
    seen = [encode_act_request(observation)]
    while True:
        result = environment.step(expert(observation))
        observation = result.observation
        seen.append(encode_act_request(observation))
        if result.done:
            return [*seen, environment.state_digest().encode()]
