"""`kinitro executor`: the workers of one machine."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import structlog
import typer

from consumers.simulation.container_options import ContainerOptions, Runtime
from consumers.simulation.containers import ContainerSettings, in_containers
from consumers.simulation.executor import names_of, processes, run_executor
from consumers.simulation.loop_watchdog import loop_watchdog
from consumers.simulation.worker import GRACE_S, WorkerSettings, WorkerStuck, run_worker
from consumers.verification.options import CommittedCodeOptions
from events import server_urls
from events.cli import LogOptions, ProcessOptions, environment, open_log, options, run
from events.live import Detail
from events.stream_settings import ACK_WAIT_S, TraceLimits
from events.verification_options import VerificationOptions
from events.watching_options import MetricsOptions, TracingOptions
from sim.runtime.surroundings import ensure_process_environment

EXIT_STUCK = 70

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ExecutorOptions:
    """How much a machine does at once, and whom it may call."""

    workers: Annotated[
        int | None,
        typer.Option(envvar="KINITRO_EXECUTOR_WORKERS", min=1, help="How many workers; one per core when absent."),
    ] = None
    episodes_in_flight: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_EXECUTOR_EPISODES_IN_FLIGHT", min=1, max=256, help="Episodes per worker at once."
        ),
    ] = 8
    allow_private_endpoints: Annotated[
        bool,
        typer.Option(
            envvar="KINITRO_EXECUTOR_ALLOW_PRIVATE_ENDPOINTS",
            help="Call policies at private and loopback addresses; for development.",
        ),
    ] = False
    trace_age_hours: Annotated[
        float,
        typer.Option(
            envvar="KINITRO_EXECUTOR_TRACE_AGE_HOURS", min=0.01, help="How long recordings of episodes are kept."
        ),
    ] = TraceLimits.age_hours
    trace_bytes_max: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_EXECUTOR_TRACE_BYTES_MAX", min=1_000_000, help="And how many bytes of them, all together."
        ),
    ] = TraceLimits.bytes_max

    live_detail: Annotated[
        Detail,
        typer.Option(
            envvar="KINITRO_EXECUTOR_LIVE_DETAIL",
            case_sensitive=False,
            help="What anybody may see of running episodes. rewards and frames help policies: for development.",
        ),
    ] = Detail.STEPS

    def traces(self) -> TraceLimits:
        return TraceLimits(self.trace_age_hours, self.trace_bytes_max)


@options
def executor(
    context: typer.Context,
    log: LogOptions,
    settings: ExecutorOptions,
    metrics: MetricsOptions,
    tracing: TracingOptions,
    verification: VerificationOptions,
    code: CommittedCodeOptions,
    containers: ContainerOptions,
    process: ProcessOptions,
) -> None:
    """Run simulation workers: tasks in, episode outcomes out."""

    async def main(stop: asyncio.Event) -> None:
        limits = containers.limits()
        if verification.verification or containers.runtime is Runtime.DOCKER:
            code.check()
        async with context.obj.nats(log.nats_url) as url:
            at = replace(log, nats_url=url)
            async with open_log(context.obj, at, "executor"):
                pass  # a server that does not answer is told once, not by every worker
            os.environ.update(environment(at, settings, tracing, verification, code, process))
            program = (sys.executable, sys.argv[0])
            names, asked = names_of(settings.workers or os.cpu_count() or 1), metrics.metrics_port is not None
            if containers.runtime is Runtime.DOCKER:
                alike = replace(settings, workers=None)  # their number is no difference between containers
                chosen = ContainerSettings(
                    code.engine(),
                    containers.eval_image,
                    limits,
                    context.obj.home,
                    environment(at, alike, tracing, process),
                    files=server_urls.parse(url).authorities,
                )
                workers = in_containers(chosen, names, metrics=asked)
            else:
                workers = processes((*program, "worker"), names, metrics=asked)
            await run_executor(
                workers,
                stop=stop,
                verifier_command=(*program, "verifier") if verification.verification else None,
                metrics=metrics,
            )

    run(main, process.log_level)


@options
def worker(
    context: typer.Context,
    log: LogOptions,
    settings: ExecutorOptions,
    tracing: TracingOptions,
    process: ProcessOptions,
    name: Annotated[str | None, typer.Option(help="What events call this worker.")] = None,
    grace_s: Annotated[
        float, typer.Option("--grace-s", min=0, help="How long episodes may go on after a request to stop.")
    ] = GRACE_S,
    lease_s: Annotated[
        float, typer.Option("--lease-s", min=1, help="Silence after which its episodes go to another worker.")
    ] = ACK_WAIT_S,
    metrics_socket: Annotated[Path | None, typer.Option(help="Serve /metrics on this Unix socket.")] = None,
) -> None:
    """Run one worker process; `executor` keeps several of them running."""
    ensure_process_environment()

    async def main(stop: asyncio.Event) -> None:
        async with context.obj.nats(log.nats_url) as url:
            worker_settings = WorkerSettings(
                nats_url=url,
                name=name or f"{socket.gethostname()}-{os.getpid()}",
                episodes_in_flight=settings.episodes_in_flight,
                allow_private_endpoints=settings.allow_private_endpoints,
                grace_s=grace_s,
                lease_s=lease_s,
                replicas=log.replicas,
                traces=settings.traces(),
                live_detail=settings.live_detail,
                metrics_socket=metrics_socket,
                otlp_endpoint=tracing.otlp_endpoint,
            )
            try:
                async with loop_watchdog():
                    await run_worker(worker_settings, stop)
            except WorkerStuck as error:
                logger.critical("worker is stuck", error=str(error))
                os._exit(EXIT_STUCK)  # what hangs may hang the ordinary way out too

    run(main, process.log_level)
