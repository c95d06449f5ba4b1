"""What it costs to be watched, against what is watched: `python -m tests.bench.watching`.

A step's watchers are timed by themselves and set against the cheapest step there is: the physics of the fastest
environment, without cameras and without the policy's HTTP. An append's observers are set against an append to a
server that syncs before it acknowledges. So the shares are upper bounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from consumers.simulation.live import LiveEpisodes
from consumers.simulation.metrics import WorkerMetrics
from consumers.simulation.watching import Watching
from events.codec import draft
from events.connection import connect
from events.envelope import begin
from events.ids import EnvId, EpisodeKey, Seed
from events.jetstream import JetStreamLog
from events.live import Detail
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.metrics import append_latency, new_registry
from events.streams import ensure_streams
from sim.cameras import STATE_1
from sim.environment import StepResult
from sim.metaworld.environment import MetaWorldEnvironment
from sim.policy import Decision
from sim.rl_interface import Action, Observation
from tests.controls import facts
from tests.controls.tasks import task
from tests.fixtures.nats import NatsProcess

ENV = EnvId("metaworld/reach-v3")
STEPS, ROUNDS, APPENDS = 400, 5, 500


def main() -> None:
    step_us = best(physics_us)
    print(f"{'one step of reach, physics alone':44s}{step_us:9.2f} us")
    ways: Sequence[tuple[str, Callable[[], float]]] = (
        ("nobody watches it", lambda: watched_us(metrics=False, wished=None)),
        ("metrics", lambda: watched_us(metrics=True, wished=None)),
        ("metrics, and somebody looks at another", lambda: watched_us(metrics=True, wished="1.0.other.episode.0")),
        ("metrics, and somebody looks at this one", lambda: watched_us(metrics=True, wished=task().key.id)),
    )
    for name, way in ways:
        share(f"a step's watchers: {name}", best(way), step_us)
    append_us, observers_us = asyncio.run(appends_us())
    print(f"{'one append, synced':44s}{append_us:9.2f} us")
    share("an append's observers: metrics", observers_us, append_us)


def best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(ROUNDS))


def share(name: str, cost_us: float, whole_us: float) -> None:
    print(f"{name:60s}{cost_us:9.3f} us {100 * cost_us / whole_us:8.3f} %")


def physics_us() -> float:
    environment = MetaWorldEnvironment(ENV, STATE_1, max_steps=501)
    environment.reset(Seed(1))
    action = environment.native_action(Action({}))
    began_s = time.perf_counter()
    for _ in range(STEPS):
        environment.step_native(action)
    return 1e6 * (time.perf_counter() - began_s) / STEPS


def watched_us(*, metrics: bool, wished: str | None) -> float:
    """Of one step, at the pace of a worker whose steps take no time: every one finds the next message not due yet."""
    live = LiveEpisodes("worker", Detail.STEPS)
    if wished is not None:
        live.wishes[wished] = (time.monotonic() + 3600, False)
    numbers = WorkerMetrics(new_registry()) if metrics else None
    watch = Watching(live, metrics=numbers, traces=None, latency=None).watch(task())
    decision = Decision(Action({}), 12.3)
    observation = Observation({"ee_pos": np.zeros(3, np.float32)})
    result = StepResult(observation, 0.1, terminated=False, truncated=False, success=False)
    rounds = 100 * STEPS
    began_s = time.perf_counter()
    for _ in range(rounds):
        watch.stepped(decision, result)
    return 1e6 * (time.perf_counter() - began_s) / rounds


async def appends_us() -> tuple[float, float]:
    """Of one append of an outcome, and of those who are told of it."""
    drafts = [[_outcome(index)] for index in range(APPENDS)]
    with TemporaryDirectory() as directory:
        server = NatsProcess(Path(directory))
        server.start()
        try:
            async with await connect(server.url, "bench") as connection:
                await ensure_streams(connection)
                append_us = 1e6 * await _timed(JetStreamLog(connection), drafts) / APPENDS
        finally:
            server.kill()
    registry = new_registry()
    live = LiveEpisodes("worker", Detail.STEPS)
    watching = Watching(live, metrics=WorkerMetrics(registry), traces=None, latency=append_latency(registry))
    bare_s = min([await _timed(MemoryLog(), drafts) for _ in range(ROUNDS)])
    observed_s = min([await _timed(watching.log(MemoryLog()), drafts) for _ in range(ROUNDS)])
    return append_us, 1e6 * (observed_s - bare_s) / APPENDS


async def _timed(log: EventLog, drafts: Sequence[Sequence[Draft]]) -> float:
    began_s = time.perf_counter()
    for each in drafts:
        await log.append(each)
    return time.perf_counter() - began_s


def _outcome(index: int) -> Draft:
    return draft(begin(facts.completed(EpisodeKey(facts.key().cycle, facts.key().uid, ENV, index)), source="/bench"))


if __name__ == "__main__":
    main()
