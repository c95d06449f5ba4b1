"""Ways through an episode that are the same each time, in this process and in another."""

from __future__ import annotations

import gc
import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import orjson

from events.ids import Seed
from sim.environment import Environment, StepResult
from sim.experts import PolicyKind, decide
from sim.rl_interface import Action, Observation, encode_act_request
from sim.trace import Recording

ROOT = Path(__file__).parents[2]
PROCESS_S_MAX = 100.0

SEED = Seed(11)
STEPS = 20
"""Enough for every body to move."""


def random_action(environment: Environment, random: np.random.Generator) -> Action:
    return Action(
        {
            name: random.uniform(channel.minimum, channel.maximum, channel.size).astype(np.float32)
            for name, channel in environment.action_spec.channels.items()
        }
    )


def extreme_action(environment: Environment) -> Action:
    channels = environment.action_spec.channels.items()
    return Action({name: np.full(channel.size, channel.maximum, np.float32) for name, channel in channels})


def walk(environment: Environment, seed: Seed = SEED) -> Iterator[bytes]:
    """Random actions that are the same each time: what was seen, and the digest of the state, after each step."""
    random = np.random.default_rng(7)
    yield encode_act_request(environment.reset(seed)) + environment.state_digest().encode()
    for _ in range(STEPS):
        result = environment.step(random_action(environment, random))
        yield (
            encode_act_request(result.observation)
            + environment.state_digest().encode()
            + repr(result.reward).encode()
        )
        if result.done:
            return


def push(environment: Environment, seed: Seed) -> None:
    """Drive everything to its limit, and leave it there."""
    environment.reset(seed)
    for _ in range(STEPS):
        if environment.step(extreme_action(environment)).done:
            return


def expert_action(observation: Observation) -> Action:
    return decide(PolicyKind.EXPERT, encode_act_request(observation))


def solve(recording: Recording | Environment, seed: Seed) -> list[StepResult]:
    """An expert's episode."""
    observation = recording.reset(seed)
    results: list[StepResult] = []
    while not results or not results[-1].done:
        results.append(recording.step(expert_action(observation)))
        observation = results[-1].observation
    return results


def digest(seen: Iterable[bytes]) -> str:
    return hashlib.sha256(b"|".join(seen)).hexdigest()


def resident_mb() -> float:
    """Of this process, without what is only waiting to be collected."""
    gc.collect()
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


def in_another_process(contract: type, method: str) -> object:
    """What this method of the contract returns when a fresh process calls it."""
    code = (
        "import orjson, sys\n"
        f"from {contract.__module__} import {contract.__qualname__} as contract\n"
        f"sys.stdout.buffer.write(orjson.dumps(contract().{method}()))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PROCESS_S_MAX, cwd=ROOT, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return orjson.loads(ran.stdout)
