"""Who solves which task, without and with the standard variation: `python -m tests.bench.variation`.

Prints the tables of docs/variation.md; takes some minutes;
`--tasks reach-v3,push-v3` and `--seeds 5` make it shorter.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from events.ids import EnvId, Seed, split_env_id
from events.variation import NO_VARIATION, PRESETS, STANDARD
from sim.cameras import STATE_1
from sim.environment import Environment
from sim.experts import PolicyKind, decide
from sim.metaworld.family import METAWORLD
from sim.rl_interface import Action, encode_act_request
from sim.suite import DEFAULT_ENVIRONMENTS, make
from sim.versions import PROCESS_ENVIRONMENT

PROCESSES = 2
STEPS_MAX = 500
FIRST_SEED = 1000
ZERO = "zero"
COMPARED = (NO_VARIATION.name, STANDARD.name)


class Runs(NamedTuple):
    """One policy on one task under one preset."""

    env: EnvId
    preset: str
    policy: str
    seeds: int


class Solved(NamedTuple):
    """How many of the seeds, and at which steps."""

    successes: int
    steps: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.successes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default=",".join(METAWORLD.tasks))
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    envs = [EnvId(f"{METAWORLD.name}/{task}") for task in arguments.tasks.split(",")]
    defaults = [env for env in envs if env in DEFAULT_ENVIRONMENTS]
    solved = measured(list(planned(envs, defaults, arguments.seeds)))
    experts(solved, envs, arguments.seeds)
    others(solved, defaults, arguments.seeds)


def planned(envs: list[EnvId], defaults: list[EnvId], seeds: int) -> Iterator[Runs]:
    for preset in COMPARED:
        for policy in (PolicyKind.NOISY, PolicyKind.RANDOM, ZERO):
            yield from (Runs(env, preset, str(policy), seeds) for env in defaults)
        yield from (Runs(env, preset, str(PolicyKind.EXPERT), seeds) for env in envs)


def measured(runs: list[Runs]) -> dict[Runs, Solved]:
    os.environ.update(PROCESS_ENVIRONMENT)
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        return dict(zip(runs, pool.map(solve, runs, chunksize=1), strict=True))


def solve(runs: Runs) -> Solved:
    environment = make(runs.env, STATE_1, max_steps=STEPS_MAX, variation=PRESETS[runs.preset])
    steps = [
        step
        for seed in range(FIRST_SEED, FIRST_SEED + runs.seeds)
        if (step := first_success(environment, Seed(seed), runs.policy)) is not None
    ]
    environment.close()
    return Solved(len(steps), tuple(steps))


def first_success(environment: Environment, seed: Seed, policy: str) -> int | None:
    """The step, from 1; None if there is none. Through what goes over the wire, as a miner's policy."""
    observation = environment.reset(seed)
    for step in range(1, STEPS_MAX + 1):
        action = Action({}) if policy == ZERO else decide(PolicyKind(policy), encode_act_request(observation))
        result = environment.step(action)
        if result.done:
            return step if result.success else None
        observation = result.observation
    return None


def experts(solved: dict[Runs, Solved], envs: list[EnvId], seeds: int) -> None:
    steps = " | ".join(f"step, {preset}" for preset in COMPARED)
    print(f"| task (expert, of {seeds}) | {' | '.join(COMPARED)} | {steps} |\n|---|---|---|---|---|")
    total: dict[str, int] = defaultdict(int)
    for env in envs:
        results = [solved[Runs(env, preset, PolicyKind.EXPERT, seeds)] for preset in COMPARED]
        cells = [*map(str, results), *(f"{median(result.steps):.0f}" if result.steps else "" for result in results)]
        print(row(env, cells, bold=env in DEFAULT_ENVIRONMENTS))
        for preset, result in zip(COMPARED, results, strict=True):
            total[preset] += result.successes
    print(f"| all of {len(envs) * seeds} | {' | '.join(str(total[preset]) for preset in COMPARED)} | | |\n")


def others(solved: dict[Runs, Solved], envs: list[EnvId], seeds: int) -> None:
    policies = (PolicyKind.NOISY, PolicyKind.RANDOM, ZERO)
    columns = [(policy, preset) for policy in policies for preset in COMPARED]
    print(f"| task (of {seeds}) | {' | '.join(f'{policy}, {preset}' for policy, preset in columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for env in envs:
        print(row(env, [str(solved[Runs(env, preset, policy, seeds)]) for policy, preset in columns]))


def row(env: EnvId, cells: list[str], *, bold: bool = False) -> str:
    task = split_env_id(env)[1]
    return f"| {f'**{task}**' if bold else task} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
