"""Steps through real HTTP policies, and whose time is whose: `python -m tests.bench.http_policies`.

Every ratio is within this run. The policies live in a process of their own and answer at once. The peer is what
one would write first: MetaWorld's own environment stepped in the event loop, httpx, JSON. Simulation only is
the same episodes in one process, a step of each in turn, without HTTP. The worker, too, has one core for its two
threads: the rates are per core.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import uvloop
from metaworld.env_dict import ENV_CLS_MAP

from events.ids import EnvId, Seed, split_env_id
from sim.cameras import RGB84_1, STATE_1, ObservationProfile
from sim.encodings import Encoding
from sim.http.policy import HttpPolicy
from sim.metaworld.environment import begin, prepared
from sim.policy import TaskConfig
from sim.rendering.renderer import Renderer
from sim.rl_interface import Observation, decode_action, encode_act_request
from sim.spec import ARM_ACTION
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS, make
from sim.trace import Recording
from tests.sim.http.hostile import GOOD_ACTION
from tests.sim.http.timed_policies import Load, TimedPolicies, differences_ms, percentile, run_under_load

IN_FLIGHT = 16
STEPS = {STATE_1: 400, RGB84_1: 60}
PEER_STEPS = 30
CALLS = 500
DEADLINE_MS = 100.0
ASKS_FOR_MSGPACK = b'{"observation_encodings":["msgpack"]}'
MILLISECONDS_TAKEN = 50
LOADS = (("state/1", 16, 40), ("state/1", 64, 40), ("rgb84/1", 16, 25))
ENVIRONMENTS = [DEFAULT_ENVIRONMENTS[index % len(DEFAULT_ENVIRONMENTS)] for index in range(IN_FLIGHT)]


def main() -> None:
    with TimedPolicies() as server:
        throughput(server.url)
        uvloop.run(split(server.url))
    fairness()


def throughput(url: str) -> None:
    print(f"{f'steps/s, {IN_FLIGHT} in flight':44s}{'wall':>8s}{'per CPU s':>11s}")
    peer = asyncio.run(untouched(f"{url}/0"))
    simulated = {profile: simulation_only(profile) for profile in STEPS}
    print(f"{'MetaWorld, httpx, json, inline, state':44s}{peer:8.0f}")
    state = over_http(url, STATE_1)
    print(f"{'state/1, JSON':44s}{state[0]:8.0f}{state[1]:11.0f}   {state[0] / peer:.1f} x the peer, wanted 6")
    print(f"{'state/1, simulation only':44s}{simulated[STATE_1]:8.0f}")
    print(f"{'rgb84/1, simulation only':44s}{simulated[RGB84_1]:8.0f}")
    with TimedPolicies(ASKS_FOR_MSGPACK) as asking:
        for name, policies in (("JSON", url), ("MessagePack", asking.url)):
            wall, cpu = over_http(policies, RGB84_1)
            ratio = wall / simulated[RGB84_1]
            print(f"{f'rgb84/1, {name}':44s}{wall:8.0f}{cpu:11.0f}   {ratio:.2f} of simulation only, wanted 0.8")


def over_http(url: str, profile: ObservationProfile) -> tuple[float, float]:
    """Steps per second of the wall clock, and of the worker process's CPU."""
    load = Load((0,) * IN_FLIGHT, profile.name, STEPS[profile], deadline_ms=10_000, on_one_core=True)
    run = run_under_load(url, load)
    assert not run.forfeits, run.forfeits
    return run.steps / run.wall_s, run.steps / run.cpu_s


def simulation_only(profile: ObservationProfile) -> float:
    """Steps per second of the episodes that `over_http` runs, in turn, resets included."""
    renderer = Renderer()
    action = decode_action(GOOD_ACTION, ARM_ACTION)
    environments = [make(env, profile, max_steps=STEPS[profile], renderer=renderer) for env in ENVIRONMENTS]
    for environment in environments:
        environment.reset(Seed(0))
    recordings = [Recording(environment) for environment in environments]
    started_s = time.perf_counter()
    for index, recording in enumerate(recordings):
        recording.reset(Seed(index))
    running = recordings
    while running:
        running = [recording for recording in running if not recording.step(action).done]
    spent_s = time.perf_counter() - started_s
    steps = sum(recording.outcome().steps for recording in recordings)
    for environment in environments:
        environment.close()
    renderer.close()
    return steps / spent_s


async def untouched(url: str) -> float:
    """Steps per second of the peer."""
    environments = [untouched_environment(env) for env in ENVIRONMENTS]
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=IN_FLIGHT)) as client:
        await asyncio.gather(*(untouched_episode(env, client, url, 3) for env in environments))
        started_s = time.perf_counter()
        await asyncio.gather(*(untouched_episode(env, client, url, PEER_STEPS) for env in environments))
        return IN_FLIGHT * PEER_STEPS / (time.perf_counter() - started_s)


def untouched_environment(env: EnvId) -> Any:
    environment = prepared(ENV_CLS_MAP[split_env_id(env)[1]](), 501)
    begin(environment, Seed(1))
    return environment


async def untouched_episode(environment: Any, client: httpx.AsyncClient, url: str, steps: int) -> None:
    state = np.zeros(39)
    for _ in range(steps):
        body = json.dumps({"obs": observation_of(state)})
        answer = await client.post(f"{url}/act", content=body, headers={"Content-Type": "application/json"})
        continuous = json.loads(answer.content)["action"]["continuous"]
        state, *_ = environment.step(np.array([*continuous["ee_twist"][:3], continuous["gripper"][0]], np.float32))


def observation_of(state: np.ndarray) -> dict[str, Any]:
    proprio = {"ee_pos": state[:3].tolist(), "gripper": [float(state[3])]}
    extra = {"state": state.tolist()}
    return {"rgb": {}, "depth": {}, "proprio": proprio, "cam_intrinsics": {}, "cam_extrinsics": {}, "extra": extra}


async def split(url: str) -> None:
    """What one step costs beside its simulation."""
    print(f"\n{'us of this process CPU per step':44s}{'state/1':>9s}{'rgb JSON':>9s}{'rgb msgp':>9s}")
    images = observed(RGB84_1)
    cases = ((observed(STATE_1), Encoding.JSON), (images, Encoding.JSON), (images, Encoding.MSGPACK))
    print(row("encode", [timed(lambda case=case: encode_act_request(*case)) for case in cases]))  # type: ignore[misc]
    async with SimulationThread() as stage:
        hop = await timed_awaits(lambda: stage.run(int))
    print(row("to the simulation thread and back", [hop] * len(cases)))
    costs = []
    with TimedPolicies(ASKS_FOR_MSGPACK) as asking:
        for observation, policies in zip((cases[0][0], images, images), (url, url, asking.url), strict=True):
            async with HttpPolicy(f"{policies}/0", allow_private_addresses=True) as policy:
                await policy.reset(TaskConfig(ENVIRONMENTS[0], 0), deadline_ms=10_000)
                costs.append(
                    await timed_awaits(
                        lambda policy=policy, observation=observation: policy.act(  # type: ignore[misc]
                            observation, ARM_ACTION, deadline_ms=10_000
                        )
                    )
                )
    print(row("encode, HTTP, decode", costs))


def observed(profile: ObservationProfile) -> Observation:
    renderer = Renderer()
    environment = make(ENVIRONMENTS[0], profile, max_steps=10, renderer=renderer)
    observation = environment.reset(Seed(1))
    environment.close()
    renderer.close()
    return observation


def timed(function: Callable[[], object]) -> float:
    started_s = time.process_time()
    for _ in range(CALLS):
        function()
    return (time.process_time() - started_s) / CALLS * 1e6


async def timed_awaits(function: Callable[[], Awaitable[object]]) -> float:
    started_s = time.process_time()
    for _ in range(CALLS):
        await function()
    return (time.process_time() - started_s) / CALLS * 1e6


def row(name: str, values: list[float]) -> str:
    return f"{name:44s}" + "".join(f"{value:9.0f}" for value in values)


def fairness() -> None:
    """`unfair`: forfeits of acts that the policy's own clock has in time. `own late`: it waited for a CPU itself."""
    print(f"\nA policy that takes {MILLISECONDS_TAKEN} ms, deadline {DEADLINE_MS:g} ms; and one that takes 130 ms")
    head = f"{'':30s}{'steps/s':>8s}{'recorded':>10s}{'p99':>7s}{'max':>7s}"
    print(f"{head}{'recorded less own p50':>24s}{'p1':>7s}{'p99':>7s}{'unfair':>8s}{'own late':>10s}{'of 130':>8s}")
    for profile, episodes, steps in LOADS:
        for name, burners in (("", 0), (", CPUs busy", 4)):
            delays = (MILLISECONDS_TAKEN,) * episodes + (130,) * 2
            with TimedPolicies() as server:
                run = run_under_load(server.url, Load(delays, profile, steps, DEADLINE_MS, burners=burners))
            recorded = [
                ms for (delay, _), each in run.recorded_ms.items() if delay == MILLISECONDS_TAKEN for ms in each
            ]
            off = differences_ms(run, server.taken_ms, MILLISECONDS_TAKEN)
            late = sum(delay == 130 for delay, _ in run.forfeits)
            own_late = sum(
                delay != 130 and server.taken_ms[delay, at][-1] >= DEADLINE_MS for delay, at in run.forfeits
            )
            print(
                f"{f'{profile}, {episodes} in flight{name}':30s}{run.steps / run.wall_s:8.0f}"
                + "".join(f"{percentile(recorded, of):{width}.1f}" for of, width in ((50, 10), (99, 7), (100, 7)))
                + "".join(f"{percentile(off, of):{width}.1f}" for of, width in ((50, 24), (1, 7), (99, 7)))
                + f"{len(run.forfeits) - late - own_late:8d}{own_late:10d}{f'{late} of 2':>8s}"
            )


if __name__ == "__main__":
    main()
