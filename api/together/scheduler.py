"""`kinitro scheduler`: what comes before an episode and what comes after the last one, in one process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from api.together.home import Home
from api.together.roles import scheduling
from consumers.anchoring.chain import AnchorChain
from consumers.anchoring.handler import run_anchoring
from consumers.anchoring.options import AnchorOptions
from consumers.scoring.handler import run_scoring
from consumers.signing.commands import SigningOptions
from consumers.signing.handler import run_signing
from consumers.signing.identity import take_up
from events.cli import LogOptions, ProcessOptions, open_log, options, run, until
from events.connection import Connection
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.keys import SigningKey
from events.verification_options import VerificationOptions
from producers.cycles.results import signed
from producers.options import CycleOptions, NetworkOptions
from producers.scheduling import Scheduling, schedule
from producers.scoring_options import ScoringOptions


@dataclass(frozen=True)
class Anchors:
    """Where history roots are anchored, if anywhere."""

    chain: AnchorChain | None
    interval: int

    def begun(self, nats_url: str, stop: asyncio.Event, replicas: int) -> list[asyncio.Future[None]]:
        """What anchors until `stop`, or nothing."""
        if self.chain is None:
            return []
        run = run_anchoring(nats_url, self.chain, stop, interval=self.interval, replicas=replicas)
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
    process: ProcessOptions,
    until_cycle: Annotated[
        int | None, typer.Option(min=1, help="End when this cycle is scored, instead of going on for ever.")
    ] = None,
) -> None:
    """Discover miners, conduct cycles, score those that are sealed, and sign what came out."""

    async def main(stop: asyncio.Event) -> None:
        work = scheduling(context.obj, network, cycles, scoring, verification)
        work.check()
        key = signing.key(context.obj.home)
        anchors = Anchors(
            anchoring.chain(network.network, network.netuid, network.chain_endpoint), anchoring.anchor_interval
        )
        async with context.obj.nats(log.nats_url) as url:
            at = replace(log, nats_url=url)
            await until(stop, _schedule_and_score(at, context.obj, work, key, anchors, until_cycle))

    run(main, process.log_level)


async def _schedule_and_score(
    log: LogOptions, home: Home, work: Scheduling, key: SigningKey, anchors: Anchors, until_cycle: int | None
) -> None:
    """All in one process: scoring and signing are a few seconds of work once a cycle, and nobody forgets them."""
    assert log.nats_url is not None
    done = asyncio.Event()
    async with open_log(home, log, "scheduler") as connection:
        await take_up(JetStreamLog(connection), key)
        beside = [
            asyncio.ensure_future(run_scoring(log.nats_url, done, replicas=log.replicas)),
            asyncio.ensure_future(run_signing(log.nats_url, key, done, replicas=log.replicas)),
            *anchors.begun(log.nats_url, done, log.replicas),
        ]
        conducting = asyncio.ensure_future(_conduct(connection, work, until_cycle))
        try:
            first, _ = await asyncio.wait({*beside, conducting}, return_when=asyncio.FIRST_COMPLETED)
            for task in first:
                await task
        finally:
            done.set()
            conducting.cancel()
            await asyncio.gather(*beside, conducting, return_exceptions=True)


async def _conduct(connection: Connection, work: Scheduling, until_cycle: int | None) -> None:
    wanted = None if until_cycle is None else CycleId(until_cycle)
    await schedule(connection, work, wanted)
    if wanted is not None:
        await signed(JetStreamLog(connection), wanted)
