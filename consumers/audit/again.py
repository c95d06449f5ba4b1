"""Running an episode again, in processes of their own: libraries read their environment only when they are loaded."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from sim.episode import EpisodeSpec
from sim.errors import SimulationFailed
from sim.runtime.processes import die_with_parent
from sim.trace import PhysicsOutcome, Track, retrace
from sim.versions import machine, versions

P = ParamSpec("P")
T = TypeVar("T")

AGAIN_S = 600.0
"""How long a second run may take: 500 steps take seconds, drawn in software at most minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What a second run came to, and where it ran."""

    physics: PhysicsOutcome
    track: Track
    versions: Mapping[str, str]
    machine: str


def run_again(spec: EpisodeSpec, actions: NDArray[np.float32]) -> Again:
    """The second run, in this process.

    Raises:
        SimError: these actions cannot be run at all.
    """
    physics, track = retrace(spec, actions)
    return Again(physics=physics, track=track, versions=versions(), machine=machine())


class Simulators:
    """Processes that simulate. Any number of runs may be asked for at once."""

    def __init__(self, pool: ProcessPoolExecutor, processes: int) -> None:
        self._pool = pool
        self._free = asyncio.Semaphore(processes)
        self.overdue = False
        """Whether a run has not ended in time: its process may never end."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function in one of the processes.

        Raises:
            SimulationFailed: the process died, or took longer than `AGAIN_S`.
            What the function raises.
        """
        try:
            async with self._free, asyncio.timeout(AGAIN_S):  # the time does not count while it waits
                with _without_interrupts():
                    running = self._pool.submit(function, *args, **kwargs)
                return await asyncio.wrap_future(running)
        except TimeoutError as error:
            self.overdue = True
            raise SimulationFailed(f"the second run has not ended in {AGAIN_S:g} s: is this machine busy?") from error
        except BrokenProcessPool as error:
            raise SimulationFailed("the process of the second run died: is there too little memory?") from error


@contextmanager
def simulators(processes: int = 1) -> Iterator[Simulators]:
    """As many processes that simulate. They get the environment that this process has when they are first used."""
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin)
    running, ended_well = Simulators(pool, processes), False
    try:
        yield running
        ended_well = not running.overdue
    finally:
        if not ended_well:
            for process in list((pool._processes or {}).values()):
                process.kill()  # what it was asked for, nobody waits for
        # Python 3.11 may complain at its exit about a pool that was not waited for.
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is ours to handle: processes that begin meanwhile never see one, not even before their first line."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    die_with_parent(signal.SIGKILL)
