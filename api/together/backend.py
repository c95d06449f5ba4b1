"""`kinitro backend`: all roles in one supervised group."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import typer

from api.commands import ApiOptions, ClientOptions
from api.together.roles import Group, check_free, check_servers, scheduling, variables
from consumers.anchoring.options import AnchorOptions
from consumers.commands import ExecutorOptions
from consumers.signing.commands import SigningOptions
from consumers.verification.options import CommittedCodeOptions
from consumers.webhooks.options import WebhookOptions
from events.cli import LogOptions, ProcessOptions, options, run
from events.verification_options import VerificationOptions
from events.watching_options import MetricsOptions, TracingOptions
from producers.options import CycleOptions, NetworkOptions
from producers.scoring_options import ScoringOptions
from projectors.commands import DatabaseOptions
from sim.runtime.supervisor import Supervisor

ON_METRICS_PORTS = ("projector", "executor", "scheduler")


@options
def backend(
    context: typer.Context,
    address: ApiOptions,
    clients: ClientOptions,
    log: LogOptions,
    database: DatabaseOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    verification: VerificationOptions,
    code: CommittedCodeOptions,
    signing: SigningOptions,
    anchoring: AnchorOptions,
    webhooks: WebhookOptions,
    executor: ExecutorOptions,
    metrics: MetricsOptions,
    tracing: TracingOptions,
    process: ProcessOptions,
) -> None:
    """Run everything in one supervised group, until Ctrl-C.

    The projector's metrics are on --metrics-port, the executor's on the port after it, the scheduler's on the next.
    """

    async def main(stop: asyncio.Event) -> None:
        scheduling(context.obj, network, cycles, scoring, verification).check()
        if verification.verification:
            code.check()
        signing.key(context.obj.home)
        anchoring.chain(network.network, network.netuid, network.chain_endpoint)
        webhooks.urls()
        check_free(address)
        async with (
            context.obj.nats(log.nats_url) as nats_url,
            context.obj.database(database.database_url) as database_url,
            Supervisor() as supervisor,
        ):
            urls = (replace(log, nats_url=nats_url), replace(database, database_url=database_url))
            await check_servers(context.obj, *urls)
            scheduled = (network, cycles, scoring, verification, code, signing, anchoring, webhooks)
            group = Group(variables(context.obj, *urls, address, clients, *scheduled, executor, tracing, process))
            for name in ("projector", "api", "executor", "scheduler"):
                await supervisor.start(group.role(name, *_metrics_of(name, metrics)))
            await supervisor.until(stop)

    run(main, process.log_level)


def _metrics_of(role: str, base: MetricsOptions) -> tuple[str, ...]:
    """Options of a role: each has a port of its own, one after the other."""
    if base.metrics_port is None or role not in ON_METRICS_PORTS:
        return ()
    port = base.metrics_port + ON_METRICS_PORTS.index(role)
    return ("--metrics-port", str(port), "--metrics-host", base.metrics_host)
