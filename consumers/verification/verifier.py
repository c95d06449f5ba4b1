"""A verifier process (`kinitro verifier`): checks in, outcomes out, a few at a time.

Miners' code runs below this process, in sandboxes that end with it, however it ends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog
from faststream import FastStream
from nats.js.api import ConsumerConfig

from consumers.intake import Intake, broker_for, started
from consumers.simulation.thread import either, simulation_thread
from consumers.simulation.worker import LOG_PATIENCE_S, WorkerStuck
from consumers.verification.checking import Checker
from consumers.verification.handler import CheckHandler
from consumers.verification.limits import ENDPOINT_RETRY_S
from consumers.verification.repository import Repositories
from consumers.verification.sandbox.choice import choose_sandbox
from consumers.verification.sandbox.protocol import NoSandbox
from consumers.work import Burial
from events.cli import until
from events.connection import connect
from events.dead_letters import DeadLetters
from events.jetstream import JetStreamLog
from events.stream_settings import ACK_WAIT_S, TASKS, verifiers_settings
from events.streams import ensure_streams
from events.traces import TraceStore
from sim.runtime.docker import ENGINE

CHECKS_AT_ONCE = 2
"""So that one miner that takes all the time that it may does not keep the others waiting. Each may take 4 GiB."""
GRACE_S = 2.0
"""A check takes minutes: one that runs when this process is asked to stop is handed back. But the outcome of one
that found the simulation hanging, which ends the process, is written: else the next verifier began the same check."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VerifierSettings:
    """What an operator decides about a verifier."""

    nats_url: str
    name: str
    """What events call this verifier."""
    repositories: Repositories
    engine: str = ENGINE
    """URL of the Docker engine; where none answers there, the kernel's own sandbox is used."""
    allow_private_endpoints: bool = False
    """Whether policies may live at private, loopback and link-local addresses."""
    lease_s: float = ACK_WAIT_S
    """How long a verifier may be silent before its check goes to another one."""
    endpoint_retry_s: float = ENDPOINT_RETRY_S
    """How long an endpoint that gives no valid action is asked again."""
    replicas: int = 1
    """Of the streams."""


async def run_verifier(settings: VerifierSettings, stop: asyncio.Event) -> None:
    """Works until `stop`, then hands back what it has begun.

    Raises:
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
        WorkerStuck: the simulation thread hangs.
    """
    with structlog.contextvars.bound_contextvars(verifier=settings.name):
        async with await connect(settings.nats_url, settings.name) as connection, simulation_thread() as stage:
            await ensure_streams(connection, replicas=settings.replicas, ack_wait_s=settings.lease_s)
            checker = Checker(
                choose=partial(choose_sandbox, settings.engine),
                repositories=settings.repositories,
                traces=TraceStore(connection),
                stage=stage,
                allow_private_endpoints=settings.allow_private_endpoints,
                endpoint_retry_s=settings.endpoint_retry_s,
            )
            events = JetStreamLog(connection, patience_s=LOG_PATIENCE_S)
            handler = CheckHandler(events, checker, verifier=settings.name)
            async with either(stop, checker.stuck) as ending:
                await until(ending, _tell_sandbox(settings.engine))
                await _work(settings, handler, ending, Burial(DeadLetters(connection), settings.name))
        if checker.stuck.is_set():
            raise WorkerStuck(f"the simulation thread of {settings.name} hangs; start another verifier")


def application(settings: VerifierSettings) -> tuple[FastStream, Intake]:
    """The verifier as a FastStream application, and its intake. Connects to nothing yet."""
    broker = broker_for(settings.nats_url)
    intake = Intake(
        broker,
        stream=TASKS,
        consumer=ConsumerConfig.from_response(dict(verifiers_settings(settings.lease_s))),
        slots=CHECKS_AT_ONCE,
        title="checks of deployed policies",
    )
    return FastStream(broker, logger=None), intake


async def _tell_sandbox(engine: str) -> None:
    """At the start, where it tells nobody who is checked."""
    sandbox = await choose_sandbox(engine, tell=lambda reason: log.info("no containers", because=reason))
    if isinstance(sandbox, NoSandbox):
        log.warning("no sandbox: checks will be inconclusive", because=sandbox.reason)
    else:
        log.info("committed code runs in a sandbox", sandbox=sandbox.name)


async def _work(settings: VerifierSettings, handler: CheckHandler, stop: asyncio.Event, burial: Burial) -> None:
    app, intake = application(settings)
    async with started(app):
        log.info("verifier started")
        await intake.run(handler, stop, grace_s=GRACE_S, burial=burial)
    log.info("verifier stopped")
