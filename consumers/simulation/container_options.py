"""Whether workers are processes or containers, and what a container of theirs may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from events.cli import Misused
from sim.runtime.container_limits import ContainerLimits, device_requests, memory_bytes

IMAGE = "kinitro/eval-env:v1"


class Runtime(StrEnum):
    """Where workers run."""

    PROCESS = "process"
    DOCKER = "docker"


@dataclass(frozen=True)
class ContainerOptions:
    """The workers' runtime. All but the first are for containers."""

    runtime: Annotated[
        Runtime,
        typer.Option(
            envvar="KINITRO_EXECUTOR_RUNTIME", case_sensitive=False, help="Workers as processes, or in containers."
        ),
    ] = Runtime.PROCESS
    eval_image: Annotated[
        str,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_IMAGE", help="Of workers' containers; `build-eval-env` makes it."),
    ] = IMAGE
    eval_mem_limit: Annotated[
        str,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_MEM_LIMIT", help="Memory of one container: 8g, 8Gi, 512m."),
    ] = "8g"
    eval_cpus: Annotated[
        float,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_CPUS", min=0.1, help="Cores of one container, at most."),
    ] = 2.0
    eval_pids: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_PIDS", min=32, help="Processes and threads of one container."),
    ] = 256
    eval_gpus: Annotated[
        str | None,
        typer.Option(
            envvar="KINITRO_BACKEND_EVAL_GPUS",
            help="GPUs of a container: all, how many, or which.",
        ),
    ] = None

    def limits(self) -> ContainerLimits:
        """What a container may use.

        Raises:
            Misused: one cannot be read.
        """
        try:
            memory = memory_bytes(self.eval_mem_limit)
        except ValueError as error:
            raise Misused(f"--eval-mem-limit: {error}") from error
        try:
            device_requests(self.eval_gpus)
        except ValueError as error:
            raise Misused(f"--eval-gpus: {error}") from error
        return ContainerLimits(memory, self.eval_cpus, self.eval_pids, self.eval_gpus)
