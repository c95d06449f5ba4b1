"""`kinitro verifier`: one verifier process."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Annotated

import structlog
import typer

from consumers.commands import EXIT_STUCK, ExecutorOptions
from consumers.simulation.loop_watchdog import loop_watchdog
from consumers.simulation.worker import WorkerStuck
from consumers.verification.options import CACHE, CommittedCodeOptions
from consumers.verification.verifier import VerifierSettings, run_verifier
from events.cli import LogOptions, ProcessOptions, options, run
from events.stream_settings import ACK_WAIT_S
from events.verification_options import VerificationOptions
from sim.runtime.surroundings import ensure_process_environment

logger = structlog.get_logger(__name__)


@options
def verifier(
    context: typer.Context,
    log: LogOptions,
    settings: ExecutorOptions,
    verification: VerificationOptions,
    code: CommittedCodeOptions,
    process: ProcessOptions,
    name: Annotated[str | None, typer.Option(help="What events call this verifier.")] = None,
    lease_s: Annotated[
        float, typer.Option("--lease-s", min=1, help="Silence after which its check goes to another verifier.")
    ] = ACK_WAIT_S,
) -> None:
    """Run one verifier process; `executor --verification` keeps one running."""
    ensure_process_environment()
    repositories = code.repositories(
        verification.verification_cache_dir or context.obj.home / CACHE,
        size_gb_max=verification.verification_max_repo_size_gb,
    )
    engine = code.engine()

    async def main(stop: asyncio.Event) -> None:
        async with context.obj.nats(log.nats_url) as url:
            verifier_settings = VerifierSettings(
                nats_url=url,
                name=name or f"{socket.gethostname()}-{os.getpid()}",
                repositories=repositories,
                engine=engine,
                allow_private_endpoints=settings.allow_private_endpoints,
                lease_s=lease_s,
                replicas=log.replicas,
            )
            try:
                async with loop_watchdog():
                    await run_verifier(verifier_settings, stop)
            except WorkerStuck as error:
                logger.critical("verifier is stuck", error=str(error))
                os._exit(EXIT_STUCK)  # what hangs may hang the ordinary way out too

    run(main, process.log_level)
