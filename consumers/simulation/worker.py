"""A worker process (`kinitro worker`): tasks in, outcomes out, several episodes at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import structlog
from faststream import FastStream
from nats.js.api import ConsumerConfig

from consumers.intake import Handle, Intake, broker_for, started
from consumers.simulation.handler import EpisodeHandler
from consumers.simulation.recording import TraceKeeper
from consumers.simulation.simulator import Simulator
from consumers.simulation.thread import either, simulation_thread
from consumers.simulation.watching import watching
from consumers.work import Burial
from events.connection import connect
from events.dead_letters import DeadLetters
from events.jetstream import JetStreamLog
from events.live import Detail
from events.stream_settings import ACK_WAIT_S, TASKS, TRACES_KEPT, TraceLimits, workers_settings
from events.streams import ensure_streams
from events.traces import TraceStore

GRACE_S = 30.0
LOG_PATIENCE_S = 300.0
"""How long a result is kept, its lease alive, while the log is away."""

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
    traces: TraceLimits = TRACES_KEPT
    """How long recordings are kept; of workers with different ones, the last that started is right."""
    live_detail: Detail = Detail.STEPS
    """How much those who look on are told of a running episode, at most."""
    metrics_socket: Path | None = None
    """Unix socket of `/metrics`, for the executor."""
    otlp_endpoint: str | None = None
    """Where traces go, if anywhere."""


async def run_worker(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Works until `stop`, then lets running episodes end within the grace period and hands back the rest.

    Raises:
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
        WorkerStuck: see the class.
    """
    with structlog.contextvars.bound_contextvars(worker=settings.name):
        async with await connect(settings.nats_url, settings.name) as connection, simulation_thread() as stage:
            await ensure_streams(
                connection, replicas=settings.replicas, ack_wait_s=settings.lease_s, traces=settings.traces
            )
            async with watching(
                connection,
                settings.name,
                detail=settings.live_detail,
                metrics_socket=settings.metrics_socket,
                otlp_endpoint=settings.otlp_endpoint,
            ) as watched:
                simulator = Simulator(
                    stage, allow_private_endpoints=settings.allow_private_endpoints, watch=watched.watch
                )
                handler = EpisodeHandler(
                    watched.log(JetStreamLog(connection, patience_s=LOG_PATIENCE_S)),
                    watched.run(simulator.run),
                    own_network=simulator.own_network,
                    worker=settings.name,
                    keep=TraceKeeper(TraceStore(connection)),
                    told_to_stop=lambda: stop.is_set() and not simulator.stuck.is_set(),
                )
                async with either(stop, simulator.stuck) as ending:
                    burial = Burial(DeadLetters(connection), settings.name)
                    await _work(settings, watched.handle(handler), ending, burial)
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


async def _work(settings: WorkerSettings, handle: Handle, stop: asyncio.Event, burial: Burial) -> None:
    app, intake = application(settings)
    async with started(app):
        log.info("worker started", episodes_in_flight=settings.episodes_in_flight)
        await intake.run(handle, stop, grace_s=settings.grace_s, burial=burial)
    log.info("worker stopped")
