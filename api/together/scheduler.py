"""`kinitro scheduler`: what comes before an episode and what comes after the last one, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from api.replays import ensure_requests
from api.together.home import Home
from api.together.roles import scheduling
from consumers.anchoring.chain import AnchorChain
from consumers.anchoring.handler import run_anchoring
from consumers.anchoring.options import AnchorOptions
from consumers.scoring.handler import run_scoring
from consumers.signing.commands import SigningOptions
from consumers.signing.handler import run_signing
from consumers.signing.identity import take_up
from consumers.webhooks.handler import run_webhooks
from consumers.webhooks.metrics import attempts
from consumers.webhooks.options import WebhookOptions
from events.cli import LogOptions, ProcessOptions, open_log, options, run, until
from events.connection import Connection
from events.dead_letters import DeadLetters
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.keys import SigningKey
from events.metrics import Appended, append_latency, new_registry
from events.metrics_server import serving_metrics
from events.streams import create_traces
from events.verification_options import VerificationOptions
from events.watching_options import MetricsOptions
from producers.cycles.results import signed
from producers.metrics import SchedulerMetrics
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import Scheduling, schedule
from producers.scoring_options import ScoringOptions

QUEUE_S = 2.0
"""How long a scrape waits for the queue."""

Running = asyncio.Future[None]


@dataclass(frozen=True)
class Anchors:
    """Where history roots are anchored, if anywhere."""

    chain: AnchorChain | None
    interval: int

    def begun(self, nats_url: str, stop: asyncio.Event, replicas: int, _: CollectorRegistry) -> list[Running]:
        """What anchors until `stop`, or nothing."""
        if self.chain is None:
            return []
        run = run_anchoring(nats_url, self.chain, stop, interval=self.interval, replicas=replicas)
        return [asyncio.ensure_future(run)]


@dataclass(frozen=True)
class Tellings:
    """Who is told of what happens, if anybody."""

    urls: tuple[str, ...]
    secret: bytes

    @classmethod
    def of(cls, webhooks: WebhookOptions, home: Path) -> Tellings:
        urls = webhooks.urls()
        return cls(urls, webhooks.secret(home) if urls else b"")

    def begun(self, nats_url: str, stop: asyncio.Event, replicas: int, registry: CollectorRegistry) -> list[Running]:
        """What tells until `stop`, or nothing."""
        if not self.urls:
            return []
        run = run_webhooks(nats_url, self.urls, self.secret, stop, replicas=replicas, told=attempts(registry))
        return [asyncio.ensure_future(run)]


@options
def scheduler(
    context: typer.Context,
    log: LogOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    verification: VerificationOptions,
    signing: SigningOptions,
    anchoring: AnchorOptions,
    webhooks: WebhookOptions,
    metrics: MetricsOptions,
    process: ProcessOptions,
    until_cycle: Annotated[
        int | None, typer.Option(min=1, help="End when this cycle is scored, instead of going on for ever.")
    ] = None,
) -> None:
    """Discover miners, conduct cycles, score those that are sealed, and sign what came out."""

    async def main(stop: asyncio.Event) -> None:
        work = scheduling(context.obj, network, cycles, scoring, verification)
        webhooks.urls()
        work.check()
        key = signing.key(context.obj.home)
        anchors = Anchors(
            anchoring.chain(network.network, network.netuid, network.chain_endpoint), anchoring.anchor_interval
        )
        beside = (anchors, Tellings.of(webhooks, context.obj.home))
        async with context.obj.nats(log.nats_url) as url:
            at = replace(log, nats_url=url)
            await until(stop, _schedule_and_score(at, context.obj, work, key, beside, metrics, until_cycle))

    run(main, process.log_level)


async def _schedule_and_score(
    log: LogOptions,
    home: Home,
    work: Scheduling,
    key: SigningKey,
    others: Sequence[Anchors | Tellings],
    metrics: MetricsOptions,
    until_cycle: int | None,
) -> None:
    """All in one process: scoring and signing are a few seconds of work once a cycle, and nobody forgets them."""
    assert log.nats_url is not None
    done, registry = asyncio.Event(), new_registry()
    async with open_log(home, log, "scheduler") as connection, _watched(connection, registry, metrics) as told:
        await create_traces(connection, log.replicas)
        await ensure_requests(connection)
        await take_up(JetStreamLog(connection), key)
        beside = [
            asyncio.ensure_future(run_scoring(log.nats_url, done, replicas=log.replicas)),
            asyncio.ensure_future(run_signing(log.nats_url, key, done, replicas=log.replicas)),
            *(task for other in others for task in other.begun(log.nats_url, done, log.replicas, registry)),
        ]
        conducting = asyncio.ensure_future(_conduct(connection, work, until_cycle, told))
        try:
            first, _ = await asyncio.wait({*beside, conducting}, return_when=asyncio.FIRST_COMPLETED)
            for task in first:
                await task
        finally:
            done.set()
            conducting.cancel()
            await asyncio.gather(*beside, conducting, return_exceptions=True)


@asynccontextmanager
async def _watched(
    connection: Connection, registry: CollectorRegistry, where: MetricsOptions
) -> AsyncIterator[Sequence[Appended]]:
    """Serves the registry, if anybody is to ask; who is to hear of what is appended."""
    if where.metrics_port is None:
        yield ()
        return
    queue, letters = JetStreamQueue(connection, patience_s=QUEUE_S), DeadLetters(connection, patience_s=QUEUE_S)
    numbers = SchedulerMetrics(queue, letters, registry)
    async with serving_metrics(registry, where.metrics_host, where.metrics_port, numbers.refresh):
        yield append_latency(registry), numbers.appended


async def _conduct(
    connection: Connection, work: Scheduling, until_cycle: int | None, told: Sequence[Appended]
) -> None:
    wanted = None if until_cycle is None else CycleId(until_cycle)
    await schedule(connection, work, wanted, told=told)
    if wanted is not None:
        await signed(JetStreamLog(connection), wanted)
