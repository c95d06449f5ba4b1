"""`kinitro backend`: all roles in one supervised group."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import typer

from api.commands import ApiOptions
from api.together.roles import Group, check_free, check_servers, scheduling, variables
from consumers.anchoring.options import AnchorOptions
from consumers.commands import ExecutorOptions
from consumers.signing.commands import SigningOptions
from consumers.verification.options import CommittedCodeOptions
from events.cli import LogOptions, ProcessOptions, options, run
from events.verification_options import VerificationOptions
from producers.options import CycleOptions, NetworkOptions
from producers.scoring_options import ScoringOptions
from projectors.commands import DatabaseOptions
from sim.runtime.processes import Supervisor


@options
def backend(
    context: typer.Context,
    address: ApiOptions,
    log: LogOptions,
    database: DatabaseOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    verification: VerificationOptions,
    code: CommittedCodeOptions,
    signing: SigningOptions,
    anchoring: AnchorOptions,
    executor: ExecutorOptions,
    process: ProcessOptions,
) -> None:
    """Run everything in one supervised group, until Ctrl-C."""

    async def main(stop: asyncio.Event) -> None:
        scheduling(context.obj, network, cycles, scoring, verification).check()
        if verification.verification:
            code.check()
        signing.key(context.obj.home)
        anchoring.chain(network.network, network.netuid, network.chain_endpoint)
        check_free(address)
        async with (
            context.obj.nats(log.nats_url) as nats_url,
            context.obj.database(database.database_url) as database_url,
            Supervisor() as supervisor,
        ):
            urls = (replace(log, nats_url=nats_url), replace(database, database_url=database_url))
            await check_servers(context.obj, *urls)
            settings = (address, network, cycles, scoring, verification, code, signing, anchoring, executor, process)
            group = Group(variables(context.obj, *urls, *settings))
            for name in ("projector", "api", "executor", "scheduler"):
                await supervisor.start(group.role(name))
            await supervisor.until(stop)

    run(main, process.log_level)
