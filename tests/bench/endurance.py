"""Whether a worker stays as it is: `python -m tests.bench.endurance [EPISODES]`, 1,000 unless said otherwise.

One real worker process on a real queue plays short episodes of all default tasks, half of them with cameras, against
a policy in another process. What the kernel says of the worker is noted after every tenth of the episodes: resident
memory, open files, threads, and memory maps, of which an OpenGL context has several. By half of the episodes every
environment that a worker keeps has been built and every task has been drawn: from there on nothing may grow.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from events.connection import connect
from events.streams import ensure_streams
from events.tasks import EpisodeTask
from sim.suite import DEFAULT_ENVIRONMENTS
from tests.bench.policy_process import PolicyProcess
from tests.consumers.conftest import LEASE_S, Bus, worker_process
from tests.controls import facts
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess, running

EPISODES = 1_000
SHARES = 10
OPTIONS = ("--episodes-in-flight", "8", "--log-level", "WARNING")
PROFILES = ("state/1", "rgb84/1")
TERMS = facts.TERMS.model_copy(update={"steps_max": 20, "act_deadline_ms": 20_000, "reset_deadline_ms": 20_000})
SHARE_S_MAX = 600.0


@dataclass(frozen=True)
class Held:
    """What the kernel says that a process holds."""

    memory_mib: float
    files: int
    threads: int
    maps: int

    @classmethod
    def by(cls, pid: int) -> Held:
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        return cls(
            memory_mib=int(status["VmRSS"].split()[0]) / 1024,
            files=len(list((process / "fd").iterdir())),
            threads=int(status["Threads"]),
            maps=len((process / "maps").read_text().splitlines()),
        )

    def __str__(self) -> str:
        return f"{self.memory_mib:10.0f}{self.files:8d}{self.threads:9d}{self.maps:7d}"


def main() -> None:
    episodes = int(sys.argv[1]) if len(sys.argv) > 1 else EPISODES
    print(f"{'episodes':>8s}{'MiB':>10s}{'files':>8s}{'threads':>9s}{'maps':>7s}")
    history = endure(episodes)
    half, end = history[SHARES // 2 - 1], history[-1]
    grown = f"{end.memory_mib - half.memory_mib:+.0f} MiB, {end.files - half.files:+d} files"
    more = f"{end.threads - half.threads:+d} threads, {end.maps - half.maps:+d} maps"
    print(f"from half to all of {episodes}: {grown}, {more}")


def endure(episodes: int) -> list[Held]:
    """What a worker holds after each tenth of so many episodes."""
    with running() as server, PolicyProcess() as url:
        return uvloop.run(_endure(episodes, server, url))


async def _endure(episodes: int, server: NatsProcess, url: str) -> list[Held]:
    history: list[Held] = []
    async with await connect(server.url, "bench") as connection:
        await ensure_streams(connection, ack_wait_s=LEASE_S)
        bus = Bus(server, connection)
        async with worker_process(bus, "worker-1", *OPTIONS) as worker:
            for share in range(SHARES):
                numbers = range(share * episodes // SHARES, (share + 1) * episodes // SHARES)
                started_s = time.perf_counter()
                await _play(bus, url, numbers)
                history.append(Held.by(worker.pid))
                rate = len(numbers) / (time.perf_counter() - started_s)
                print(f"{numbers.stop:8d}{history[-1]}   {rate:.1f} episodes/s", flush=True)
    return history


async def _play(bus: Bus, url: str, numbers: range) -> None:
    await bus.queue.put([_task(number, url) for number in numbers])
    await eventually(bus.is_empty, timeout_s=SHARE_S_MAX)


def _task(number: int, url: str) -> EpisodeTask:
    env = DEFAULT_ENVIRONMENTS[number % len(DEFAULT_ENVIRONMENTS)]
    profile = PROFILES[number // len(DEFAULT_ENVIRONMENTS) % len(PROFILES)]
    terms = TERMS.model_copy(update={"observation_profile": profile})
    return task(env=env, index=number, seed=number, endpoint=url, terms=terms)


if __name__ == "__main__":
    main()
