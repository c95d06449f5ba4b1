"""How much faster all cores are than one: `python -m tests.bench.scaling`.

As many processes as cores, each stepping environments and drawing cameras as a worker does, against one such process
alone; policies are left out, because here they would need the same cores. Wanted: at least 0.85 of the lone process's
rate per core. Not all that can stand in the way is ours: cores that share arithmetic units, memory bandwidth, a clock
that slows down under load, other people's work on the machine. So pure arithmetic is timed in the same way beside.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

import numpy as np

from sim.versions import PROCESS_ENVIRONMENT

SECONDS = 4.0
ROUNDS = 3
Load = Callable[[], Callable[[], int]]
"""Prepares, and returns what does a piece of the work and says how many steps it was."""


def main() -> None:
    os.environ.update(PROCESS_ENVIRONMENT)
    cores = len(os.sched_getaffinity(0))
    print(f"{'per second and process':28s}{'1 process':>11s}{f'{cores} processes':>13s}{'ratio':>8s}")
    for name, load in (("arithmetic alone", arithmetic), ("steps, state/1", state), ("steps, rgb84/1", cameras)):
        pairs = [(rate(load, 1), rate(load, cores)) for _ in range(ROUNDS)]
        one, all_of_them = (max(column) for column in zip(*pairs, strict=True))
        print(f"{name:28s}{one:11.0f}{all_of_them:13.0f}{all_of_them / one:8.2f}", flush=True)


def rate(load: Load, processes: int) -> float:
    """Steps per second and process, of so many at once."""
    context = multiprocessing.get_context("spawn")
    ready, results = context.Barrier(processes), context.SimpleQueue()
    workers = [context.Process(target=_work, args=(load, ready, results)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    total: float = sum(results.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total / processes


def _work(load: Load, ready: Barrier, results: multiprocessing.SimpleQueue[float]) -> None:
    piece = load()
    piece()
    ready.wait()
    started_s, steps = time.perf_counter(), 0
    while (spent_s := time.perf_counter() - started_s) < SECONDS:
        steps += piece()
    results.put(steps / spent_s)


def arithmetic() -> Callable[[], int]:
    """Fits into the smallest cache: what the cores themselves can do."""

    def piece() -> int:
        total = 0
        for number in range(20_000):
            total += number * number
        return 20

    return piece


def state() -> Callable[[], int]:
    return _environments("state/1", steps=200)


def cameras() -> Callable[[], int]:
    return _environments("rgb84/1", steps=20)


def _environments(profile_name: str, *, steps: int) -> Callable[[], int]:
    """All default tasks in turn, with random actions."""
    from events.ids import Seed
    from sim.cameras import find_profile
    from sim.rendering.renderer import Renderer
    from sim.suite import DEFAULT_ENVIRONMENTS, make

    profile = find_profile(profile_name)
    renderer = Renderer()
    environments = [make(env, profile, max_steps=500, renderer=renderer) for env in DEFAULT_ENVIRONMENTS]
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 4)).astype(np.float32)

    def piece() -> int:
        done = 0
        for environment in environments:
            environment.reset(Seed(7))
            for action in actions:
                done += 1
                if environment.step_native(action).done:
                    break
        return done

    return piece


if __name__ == "__main__":
    main()
