"""A policy server in a process of its own that takes a known time for each answer, and a worker under load.

`POST /<ms>/reset` is answered at once, `POST /<ms>/act` after these milliseconds. Unless that is 0, the server
measures with its own clock how long it really took: from when its kernel had the request, because a policy
process that waits for a CPU is late by itself, to when the answer was written.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import orjson
import uvloop

from events.ids import EnvId, Seed
from sim.episode import EpisodeForfeit, EpisodeSpec, run_episode
from sim.http.clock import TICK_S, kernel_ages_s
from sim.http.policy import HttpPolicy
from sim.policy import Decision, TaskConfig
from sim.stage import SimulationThread
from sim.suite import DEFAULT_ENVIRONMENTS
from tests.sim.http.hostile import GOOD_ACTION, http

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from sim.rl_interface import Observation
    from sim.spec import ActionSpec

SPAWN = multiprocessing.get_context("spawn")
Taken = dict[tuple[int, int], list[float]]
"""(delay in ms, episode index) -> milliseconds of each act."""

BURN_S_MAX = 120.0
ANSWER = http(GOOD_ACTION)


class TimedPolicies:
    """`with TimedPolicies() as server`: serves at `server.url`; once stopped, has `taken_ms`."""

    url: str
    taken_ms: Taken

    def __init__(self, advertisement: bytes = b"{}") -> None:
        self._advertisement = advertisement

    def __enter__(self) -> TimedPolicies:
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, self._advertisement), daemon=True)
        self._process.start()
        self.url = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """The server is gone afterwards, and what it measured is here."""
        if self._process.is_alive():
            self._pipe.send("stop")
            self.taken_ms = self._pipe.recv()
        self._process.join()


def _serve(parent: Connection, advertisement: bytes) -> None:
    taken: Taken = defaultdict(list)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _TimedAnswers(taken, http(advertisement)), "127.0.0.1", 0)
        parent.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await asyncio.to_thread(parent.recv)
        server.close()

    uvloop.run(serve())
    parent.send(dict(taken))


class _TimedAnswers(asyncio.Protocol):
    """One episode's connection."""

    def __init__(self, taken: Taken, announcement: bytes) -> None:
        self._taken = taken
        self._announcement = announcement
        self._buffer = bytearray()
        self._index = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
        if len(rest) < size:
            return
        ages_s = kernel_ages_s(self._transport.get_extra_info("socket"))
        late_s = max(0.0, ages_s[1] - TICK_S) if ages_s else 0.0
        read_s = time.perf_counter() - late_s
        self._buffer.clear()
        _, delay_ms, call = head.split(b" ", 2)[1].decode().split("/")
        if call == "reset":
            self._index = orjson.loads(rest)["task_config"]["task_id"]
        if call != "act":
            self._transport.write(self._announcement)
        elif delay_ms == "0":
            self._transport.write(ANSWER)
        else:
            asyncio.get_running_loop().call_later(int(delay_ms) / 1000, self._answer, read_s, int(delay_ms))

    def _answer(self, read_s: float, delay_ms: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)
        asyncio.get_running_loop().call_soon(self._answered, read_s, delay_ms)

    def _answered(self, read_s: float, delay_ms: int) -> None:
        self._taken[delay_ms, self._index].append((time.perf_counter() - read_s) * 1000)


@dataclass
class Run:
    """What a worker process reports of its episodes."""

    recorded_ms: Taken = field(default_factory=dict)
    forfeits: dict[tuple[int, int], str] = field(default_factory=dict)
    steps: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(frozen=True)
class Load:
    """`delays_ms`: one episode each, all at once, in one worker process."""

    delays_ms: tuple[int, ...]
    profile: str
    max_steps: int
    deadline_ms: float = 100.0
    burners: int = 0
    """Processes beside it that use up a CPU each, at the lowest priority."""
    on_one_core: bool = False
    """Whether the worker's threads must share a core; otherwise they use a little more than one."""


def run_under_load(url: str, load: Load) -> Run:
    """Run the episodes in a worker process: the simulation thread, uvloop, real HTTP."""
    done = SPAWN.Event()
    burners = [SPAWN.Process(target=_burn, args=(done,), daemon=True) for _ in range(load.burners)]
    for burner in burners:
        burner.start()
    ours, theirs = SPAWN.Pipe()
    worker = SPAWN.Process(target=_work, args=(theirs, url, load), daemon=True)
    worker.start()
    try:
        if not ours.poll(BURN_S_MAX):
            raise TimeoutError(f"the worker process did not end within {BURN_S_MAX:g} s")
        run: Run = ours.recv()
        return run
    finally:
        done.set()
        for process in (worker, *burners):
            process.join()


def _burn(done: object) -> None:
    os.nice(19)
    until_s = time.monotonic() + BURN_S_MAX
    while time.monotonic() < until_s and not done.is_set():  # type: ignore[attr-defined]
        sum(range(200_000))


def _work(parent: Connection, url: str, load: Load) -> None:
    if load.on_one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    parent.send(uvloop.run(_episodes(url, load)))


async def _episodes(url: str, load: Load) -> Run:
    run = Run()
    async with SimulationThread() as stage:
        numbers = range(len(load.delays_ms))
        await _build(stage, load)
        started_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.gather(*(_episode(url, load, stage, run, number) for number in numbers))
        run.wall_s, run.cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    return run


async def _build(stage: SimulationThread, load: Load) -> None:
    """The environments of the episodes: all but the first ones of a worker find them there."""
    async with AsyncExitStack() as borrowed:
        for index in range(len(load.delays_ms)):
            lent = stage.environment(_env(index), load.profile, max_steps=load.max_steps)
            environment = await borrowed.enter_async_context(lent)
            await stage.run(environment.reset, Seed(0))


def _env(index: int) -> EnvId:
    return DEFAULT_ENVIRONMENTS[index % len(DEFAULT_ENVIRONMENTS)]


async def _episode(url: str, load: Load, stage: SimulationThread, run: Run, index: int) -> None:
    delay_ms = load.delays_ms[index]
    spec = EpisodeSpec(
        env=_env(index),
        seed=Seed(index),
        index=index,
        profile=load.profile,
        max_steps=load.max_steps,
        act_deadline_ms=load.deadline_ms,
        reset_deadline_ms=30_000,
    )
    async with _Recorded(f"{url}/{delay_ms}", allow_private_addresses=True) as policy:
        result = await run_episode(spec, policy, stage)
        run.recorded_ms[delay_ms, index] = policy.latencies_ms
    run.steps += result.physics.steps
    if isinstance(result, EpisodeForfeit):
        run.forfeits[delay_ms, index] = f"{result.code}: {result.detail}"


class _Recorded(HttpPolicy):
    """Keeps every latency, of which an episode keeps a summary."""

    latencies_ms: list[float]

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None:
        self.latencies_ms = []
        await super().reset(task, deadline_ms=deadline_ms)

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        decision = await super().act(observation, spec, deadline_ms=deadline_ms)
        self.latencies_ms.append(decision.latency_ms)
        return decision

    async def __aenter__(self) -> _Recorded:
        return self


def differences_ms(run: Run, taken_ms: Taken, delay_ms: int) -> list[float]:
    """Recorded less own, of every act that was in time."""
    return [
        recorded - own
        for (delay, index), each in run.recorded_ms.items()
        if delay == delay_ms
        for recorded, own in zip(each, taken_ms.get((delay, index), []), strict=False)
    ]


def percentile(values: list[float], percent: float) -> float:
    """By nearest rank; 0 is the smallest, 100 the largest."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]
