"""Keeps N worker processes running on this machine, and a verifier where one is wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence

from sim.runtime.processes import Child, Supervisor
from sim.versions import PROCESS_ENVIRONMENT

DRAIN_S = 45.0
"""A worker's own grace, and time to hand back what it could not finish."""


async def run_executor(
    command: Sequence[str], *, workers: int, stop: asyncio.Event, verifier_command: Sequence[str] | None = None
) -> None:
    """Runs `workers` processes of `command --name NAME` until `stop`, then drains them, all at once.

    `verifier_command`: of one verifier beside them, if there is to be one.

    Raises:
        ChildRefused: a worker, or the verifier, cannot work with its options.
    """
    async with Supervisor() as supervisor:
        for number in range(1, workers + 1):
            await supervisor.start(worker(command, number))
        if verifier_command is not None:
            await supervisor.start(verifier(verifier_command))
        try:
            await supervisor.until(stop)
        finally:
            await supervisor.close_together()


def worker(command: Sequence[str], number: int) -> Child:
    """The `number`-th (1, 2, ...) worker of this machine. Its name is in every event that it writes."""
    return _child(f"worker {number}", command, f"{socket.gethostname()}-{number}")


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
