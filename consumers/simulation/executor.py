"""Keeps N workers running on this machine, and a verifier where one is wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from consumers.simulation.worker_metrics import WorkersMetrics
from events.metrics import new_registry
from events.metrics_server import serving_metrics
from events.watching_options import MetricsOptions
from sim.runtime.children import Child
from sim.runtime.supervisor import Supervisor
from sim.versions import PROCESS_ENVIRONMENT

DRAIN_S = 45.0
"""A worker's own grace, and time to hand back what it could not finish."""


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a machine, not yet started."""

    children: Sequence[Child]
    sockets: Mapping[str, Path]
    """Worker -> where it tells its metrics, if it was told to."""
    engine_answers: Callable[[], Awaitable[bool]] | None = None
    """Asks whether the engine is there that runs them; None where none does."""


async def run_executor(
    workers: AbstractAsyncContextManager[Workers],
    *,
    stop: asyncio.Event,
    verifier_command: Sequence[str] | None = None,
    metrics: MetricsOptions | None = None,
) -> None:
    """Runs these workers until `stop`, then drains them, all at once.

    `verifier_command`: of one verifier beside them, if there is to be one.

    Raises:
        ChildRefused: a worker, or the verifier, cannot work with its options.
        MetricsUnavailable: the port for metrics is in use.
        What `workers` raises: they cannot run here.
    """
    async with workers as those, _serving(those, metrics or MetricsOptions()), Supervisor() as supervisor:
        try:
            for child in those.children:
                await supervisor.start(child)
            if verifier_command is not None:
                await supervisor.start(verifier(verifier_command))
            await supervisor.until(stop)
        finally:
            await supervisor.close_together()


def names_of(workers: int) -> list[str]:
    """The names of this machine's workers, which are in every event that they write."""
    return [f"{socket.gethostname()}-{number}" for number in range(1, workers + 1)]


@asynccontextmanager
async def processes(command: Sequence[str], names: Sequence[str], *, metrics: bool) -> AsyncIterator[Workers]:
    """These workers, each a process of `command --name NAME`. `metrics`: whether they are to tell theirs."""
    if not metrics:
        yield Workers([_worker(command, number, name) for number, name in enumerate(names, start=1)], {})
        return
    with TemporaryDirectory(prefix="kinitro-") as directory:  # short: a socket's path has 107 characters at most
        sockets = {name: Path(directory, f"{number}.sock") for number, name in enumerate(names, start=1)}
        children = [
            _worker((*command, "--metrics-socket", str(path)), number, name)
            for number, (name, path) in enumerate(sockets.items(), start=1)
        ]
        yield Workers(children, sockets)


@asynccontextmanager
async def _serving(those: Workers, where: MetricsOptions) -> AsyncIterator[None]:
    """All workers' metrics on one port, if anybody is to ask there."""
    registry = new_registry()
    workers = WorkersMetrics(those.sockets, registry, those.engine_answers)
    async with serving_metrics(registry, where.metrics_host, where.metrics_port, workers.refresh):
        yield


def _worker(command: Sequence[str], number: int, name: str) -> Child:
    return _child(f"worker {number}", command, name)


def verifier(command: Sequence[str]) -> Child:
    """The verifier of this machine, named as the workers are."""
    return _child("verifier", command, f"{socket.gethostname()}-verifier")


def _child(title: str, command: Sequence[str], name: str) -> Child:
    return Child(
        title,
        (*command, "--name", name),
        env=os.environ | PROCESS_ENVIRONMENT,
        stop_grace_s=DRAIN_S,
        death_signal=signal.SIGKILL,
    )
