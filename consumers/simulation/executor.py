"""Keeps N worker processes running on this machine, and a verifier where one is wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from consumers.simulation.worker_metrics import WorkersMetrics
from events.metrics import new_registry
from events.metrics_server import serving_metrics
from events.watching_options import MetricsOptions
from sim.runtime.processes import Child, Supervisor
from sim.versions import PROCESS_ENVIRONMENT

DRAIN_S = 45.0
"""A worker's own grace, and time to hand back what it could not finish."""


async def run_executor(
    command: Sequence[str],
    *,
    workers: int,
    stop: asyncio.Event,
    verifier_command: Sequence[str] | None = None,
    metrics: MetricsOptions | None = None,
) -> None:
    """Runs `workers` processes of `command --name NAME` until `stop`, then drains them, all at once.

    `verifier_command`: of one verifier beside them, if there is to be one.

    Raises:
        ChildRefused: a worker, or the verifier, cannot work with its options.
        MetricsUnavailable: the port for metrics is in use.
    """
    names = [f"{socket.gethostname()}-{number}" for number in range(1, workers + 1)]
    async with _metrics(names, metrics or MetricsOptions()) as sockets, Supervisor() as supervisor:
        for number, name in enumerate(names, start=1):
            await supervisor.start(worker(command, number, name, sockets.get(name)))
        if verifier_command is not None:
            await supervisor.start(verifier(verifier_command))
        try:
            await supervisor.until(stop)
        finally:
            await supervisor.close_together()


@asynccontextmanager
async def _metrics(names: Sequence[str], where: MetricsOptions) -> AsyncIterator[dict[str, Path]]:
    """Serves all workers' metrics; the sockets on which they are to be asked, none where nobody asks."""
    if where.metrics_port is None:
        yield {}
        return
    with TemporaryDirectory(prefix="kinitro-") as directory:  # short: a socket's path has 107 characters at most
        sockets = {name: Path(directory, f"{number}.sock") for number, name in enumerate(names, start=1)}
        registry = new_registry()
        workers = WorkersMetrics(sockets, registry)
        async with serving_metrics(registry, where.metrics_host, where.metrics_port, workers.refresh):
            yield sockets


def worker(command: Sequence[str], number: int, name: str, metrics_socket: Path | None = None) -> Child:
    """The `number`-th (1, 2, ...) worker of this machine. Its name is in every event that it writes."""
    asked = () if metrics_socket is None else ("--metrics-socket", str(metrics_socket))
    return _child(f"worker {number}", (*command, *asked), name)


def verifier(command: Sequence[str]) -> Child:
    """The verifier of this machine, named likewise."""
    return _child("verifier", command, f"{socket.gethostname()}-verifier")


def _child(title: str, command: Sequence[str], name: str) -> Child:
    return Child(
        title,
        (*command, "--name", name),
        env=os.environ | PROCESS_ENVIRONMENT,
        stop_grace_s=DRAIN_S,
        death_signal=signal.SIGKILL,
    )
