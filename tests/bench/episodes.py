"""Episode stepping against raw physics, on one core: `python -m tests.bench.episodes`.

Every ratio is within this run. Raw physics is `mj_step` of one control step along the very trajectory that
the environment takes, with nothing around it; MetaWorld's own step is timed along the same one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from statistics import fmean
from typing import Any

import mujoco
import numpy as np
import uvloop

from events.ids import EnvId, Seed
from sim.cameras import RGB84_1, STATE_1, ObservationProfile, Renderer
from sim.episode import EpisodeSpec, run_episode
from sim.experts import PolicyKind, decide
from sim.http_policy import HttpPolicy
from sim.metaworld.environment import MetaWorldEnvironment
from sim.policy_server import PolicyServer
from sim.rl_interface import encode_act_request
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS
from sim.trace import Recording

SEED = Seed(101)
SECONDS_PER_TASK = 0.25
IN_FLIGHT = 16
HTTP_STEPS = {STATE_1: 400, RGB84_1: 50}


def main() -> None:
    renderer = Renderer()
    raw, own, ours, drawn = [], [], [], []
    print(f"{'us per step':34s}{'raw':>8s}{'MetaWorld':>11s}{'ours':>8s}{'cameras':>9s}{'raw/ours':>10s}")
    for env in DEFAULT_ENVIRONMENTS:
        actions = expert_actions(env)
        raw.append(timed(env, actions, raw_step))
        own.append(timed(env, actions, metaworld_step))
        ours.append(timed(env, actions, our_step))
        drawn.append(timed(env, actions, our_step, RGB84_1, renderer))
        print(row(env, raw[-1], own[-1], ours[-1], drawn[-1]))
    print(row("mean", fmean(raw), fmean(own), fmean(ours), fmean(drawn)))
    renderer.close()
    print(f"\n{'steps/s, one worker process':34s}{'wall':>8s}{'per CPU s':>11s}{'of raw':>8s}")
    raw_rate = 1e6 / fmean(raw)
    print(rates("raw physics", raw_rate, raw_rate, raw_rate))
    print(rates("environment", 1e6 / fmean(ours), 1e6 / fmean(ours), raw_rate))
    print(rates("environment, two cameras", 1e6 / fmean(drawn), 1e6 / fmean(drawn), raw_rate))
    with PolicyProcess() as url:
        for profile in (STATE_1, RGB84_1):
            wall, cpu = uvloop.run(over_http(url, profile))
            print(rates(f"HTTP, {IN_FLIGHT} in flight, {profile.name}", wall, cpu, raw_rate))


def row(name: str, raw_us: float, own_us: float, ours_us: float, drawn_us: float) -> str:
    return f"{name:34s}{raw_us:8.0f}{own_us:11.0f}{ours_us:8.0f}{drawn_us:9.0f}{raw_us / ours_us:10.2f}"


def rates(name: str, wall: float, cpu: float, raw_rate: float) -> str:
    return f"{name:34s}{wall:8.0f}{cpu:11.0f}{cpu / raw_rate:8.2f}"


def expert_actions(env: EnvId) -> list[np.ndarray]:
    """The native actions of the expert's episode."""
    recording = Recording(MetaWorldEnvironment(env, STATE_1, max_steps=500))
    observation = recording.reset(SEED)
    while not (result := recording.step(decide(PolicyKind.EXPERT, encode_act_request(observation)))).done:
        observation = result.observation
    return list(recording.actions)


Step = Callable[[MetaWorldEnvironment, np.ndarray], Any]


def timed(
    env: EnvId,
    actions: list[np.ndarray],
    step: Step,
    profile: ObservationProfile = STATE_1,
    renderer: Renderer | None = None,
) -> float:
    """Microseconds per step, without the resets between."""
    environment = MetaWorldEnvironment(env, profile, max_steps=501, renderer=renderer)
    spent_s, steps = 0.0, 0
    while spent_s < SECONDS_PER_TASK:
        environment.reset(SEED)
        started_s = time.perf_counter()
        for action in actions:
            step(environment, action)
        spent_s += time.perf_counter() - started_s
        steps += len(actions)
    environment.close()
    return spent_s / steps * 1e6


def our_step(environment: MetaWorldEnvironment, action: np.ndarray) -> None:
    environment.step_native(action)


def metaworld_step(environment: MetaWorldEnvironment, action: np.ndarray) -> None:
    environment._native.step(action)


def raw_step(environment: MetaWorldEnvironment, action: np.ndarray) -> None:
    native, data = environment._native, environment._data
    data.mocap_pos[0] = np.clip(
        data.mocap_pos[0] + action[:3] * native.action_scale, native.mocap_low, native.mocap_high
    )
    data.ctrl[:] = action[3], -action[3]
    mujoco.mj_step(environment._model, data, nstep=native.frame_skip)


async def over_http(url: str, profile: ObservationProfile) -> tuple[float, float]:
    """Steps per second of wall clock and of this process's CPU, episodes of a random policy."""
    async with SimulationThread() as stage:
        numbers = range(IN_FLIGHT)
        await asyncio.gather(*(episode(url, profile, stage, number, max_steps=5) for number in numbers))
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        steps = await asyncio.gather(
            *(episode(url, profile, stage, number, max_steps=HTTP_STEPS[profile]) for number in numbers)
        )
        wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_started_s
    return sum(steps) / wall_s, sum(steps) / cpu_s


async def episode(
    url: str, profile: ObservationProfile, stage: SimulationThread, index: int, *, max_steps: int
) -> int:
    spec = EpisodeSpec(
        env=DEFAULT_ENVIRONMENTS[index % len(DEFAULT_ENVIRONMENTS)],
        seed=Seed(index),
        index=index,
        profile=profile.name,
        max_steps=max_steps,
        act_deadline_ms=10_000,
        reset_deadline_ms=30_000,
    )
    async with HttpPolicy(url, allow_private_addresses=True) as policy:
        return (await run_episode(spec, policy, stage)).physics.steps


class PolicyProcess:
    """A random policy in a process of its own, so that its work is not counted as ours."""

    def __enter__(self) -> str:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=serve_random, args=(theirs,), daemon=True)
        self._process.start()
        url: str = self._ours.recv()
        return url

    def __exit__(self, *_: object) -> None:
        self._ours.send("stop")
        self._process.join()


def serve_random(parent: Connection) -> None:
    async def serve() -> None:
        async with PolicyServer(PolicyKind.RANDOM) as server:
            parent.send(server.url)
            await asyncio.to_thread(parent.recv)

    uvloop.run(serve())


if __name__ == "__main__":
    main()
