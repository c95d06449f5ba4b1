"""A worker process: tasks in, outcomes out, several episodes at once.

python -m consumers.simulation.worker --nats-url nats://127.0.0.1:4222
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import structlog
import uvloop
from faststream import FastStream
from nats.js.api import ConsumerConfig

from consumers.intake import Intake, broker_for, started
from consumers.simulation.handler import EpisodeHandler
from consumers.simulation.simulator import Simulator
from events.connection import connect
from events.jetstream import JetStreamLog
from events.log import LogError
from events.streams import ACK_WAIT_S, TASKS, ensure_streams, workers_settings
from sim.stage import SimulationThread

GRACE_S = 30.0
LOG_PATIENCE_S = 300.0
"""How long a result is kept, its lease alive, while the log is away."""
CLOSE_S = 10.0
"""How long the simulation thread may take to close what it holds."""
EXIT_FAILED, EXIT_STUCK = 1, 70

log = structlog.stdlib.get_logger(__name__)


class WorkerStuck(Exception):
    """The simulation thread no longer answers: end this process, start another. Its episodes come back."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What an operator decides about a worker."""

    nats_url: str
    name: str
    """What events call this worker."""
    episodes_in_flight: int = 8
    """How many episodes run at once: while some wait for their policies, others step."""
    allow_private_endpoints: bool = False
    """Whether policies may live at private, loopback and link-local addresses."""
    grace_s: float = GRACE_S
    """How long running episodes may go on after a request to stop; the others are handed back."""
    lease_s: float = ACK_WAIT_S
    """How long a worker may be silent before its episodes go to another one."""
    replicas: int = 1
    """Of the streams."""


async def run_worker(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Works until `stop`, then lets running episodes end within the grace period and hands back the rest.

    Raises:
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
        WorkerStuck: see the class.
    """
    with structlog.contextvars.bound_contextvars(worker=settings.name):
        async with await connect(settings.nats_url, settings.name) as connection, _thread() as stage:
            await ensure_streams(connection, replicas=settings.replicas, ack_wait_s=settings.lease_s)
            simulator = Simulator(stage, allow_private_endpoints=settings.allow_private_endpoints)
            events = JetStreamLog(connection, patience_s=LOG_PATIENCE_S)
            handler = EpisodeHandler(events, simulator.run, worker=settings.name)
            async with _either(stop, simulator.stuck) as ending:
                await _work(settings, handler, ending)
        if simulator.stuck.is_set():
            raise WorkerStuck(f"the simulation thread of {settings.name} hangs; start another worker")


def application(settings: WorkerSettings) -> tuple[FastStream, Intake]:
    """The worker as a FastStream application, and its intake. Connects to nothing yet."""
    broker = broker_for(settings.nats_url)
    intake = Intake(
        broker,
        stream=TASKS,
        consumer=ConsumerConfig.from_response(dict(workers_settings(settings.lease_s))),
        slots=settings.episodes_in_flight,
        title="episode tasks",
    )
    return FastStream(broker, logger=None), intake


async def _work(settings: WorkerSettings, handler: EpisodeHandler, stop: asyncio.Event) -> None:
    app, intake = application(settings)
    async with started(app):
        log.info("worker started", episodes_in_flight=settings.episodes_in_flight)
        await intake.run(handler, stop, grace_s=settings.grace_s)
    log.info("worker stopped")


@asynccontextmanager
async def _thread() -> AsyncIterator[SimulationThread]:
    stage = SimulationThread()
    try:
        yield stage
    finally:
        try:
            async with asyncio.timeout(CLOSE_S):
                await stage.close()
        except TimeoutError:
            log.exception("the simulation thread does not close", waited_s=CLOSE_S)


@asynccontextmanager
async def _either(*events: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """An event that is set as soon as one of these is."""
    either = asyncio.Event()

    async def forward(event: asyncio.Event) -> None:
        await event.wait()
        either.set()

    forwarders = [asyncio.create_task(forward(event)) for event in events]
    try:
        yield either
    finally:
        for forwarder in forwarders:
            forwarder.cancel()


def main(arguments: Sequence[str]) -> int:
    """Runs one worker until SIGTERM or SIGINT. Returns the exit status."""
    settings = parse_arguments(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signalled(settings))
    except LogError as error:
        log.error("worker cannot work", error=str(error))  # noqa: TRY400  # the message says it all
        return EXIT_FAILED
    except WorkerStuck as error:
        log.critical("worker is stuck", error=str(error))
        os._exit(EXIT_STUCK)  # an ordinary exit would wait for the thread
    return 0


async def _until_signalled(settings: WorkerSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_worker(settings, stop)


def parse_arguments(arguments: Sequence[str]) -> WorkerSettings:
    """The settings of a worker that is started by its command line."""
    parser = argparse.ArgumentParser(prog="python -m consumers.simulation.worker", description=__doc__)
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--name", default=f"worker-{uuid4().hex[:8]}")
    parser.add_argument("--episodes-in-flight", type=int, default=8)
    parser.add_argument("--allow-private-endpoints", action="store_true")
    parser.add_argument("--grace-s", type=float, default=GRACE_S)
    parser.add_argument("--lease-s", type=float, default=ACK_WAIT_S)
    parser.add_argument("--replicas", type=int, default=1)
    return WorkerSettings(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
