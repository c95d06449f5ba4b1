"""`kinitro cycle run`: the next cycle, to its end, with whatever it needs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import typer

from api.together.home import Home
from api.together.roles import Group, scheduling, variables
from consumers.commands import ExecutorOptions
from consumers.signing.commands import SigningOptions
from consumers.verification.options import CommittedCodeOptions
from events import display, subjects
from events.cli import INTERRUPTED, LogOptions, ProcessOptions, open_log, options, run, until
from events.display import result_view, show_progress
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.log import EventLog
from events.newest import newest_cycle
from events.verification_options import VerificationOptions
from producers.cycles.results import signed
from producers.options import CycleOptions, NetworkOptions
from producers.scoring_options import ScoringOptions
from sim.runtime.children import Restart
from sim.runtime.embedded import is_running
from sim.runtime.supervisor import Supervisor


@options
def run_cycle(
    context: typer.Context,
    log: LogOptions,
    network: NetworkOptions,
    cycles: CycleOptions,
    scoring: ScoringOptions,
    verification: VerificationOptions,
    code: CommittedCodeOptions,
    signing: SigningOptions,
    executor: ExecutorOptions,
    process: ProcessOptions,
) -> None:
    """Run the next cycle now, or the one that is running to its end, and show what comes out.

    Where somebody runs the servers already (here, or at --nats-url) the executors there do the work; start one if
    there is none. Otherwise servers and an executor are run meanwhile.
    """

    async def main(stop: asyncio.Event) -> None:
        scheduling(context.obj, network, cycles, scoring, verification).check()
        if verification.verification:
            code.check()
        signing.key(context.obj.home)
        alone = log.nats_url is None and not is_running("nats", context.obj.home)
        async with context.obj.nats(log.nats_url) as nats_url, Supervisor() as supervisor:
            at = replace(log, nats_url=nats_url)
            settings = (at, network, cycles, scoring, verification, code, signing, executor, process)
            group = Group(variables(context.obj, *settings), output=context.obj.home / "logs")
            if alone:
                await supervisor.start(group.role("executor"))
            await until(stop, run_next_cycle(context.obj, at, group, supervisor))

    if run(main):
        raise typer.Exit(INTERRUPTED)


async def run_next_cycle(home: Home, log: LogOptions, group: Group, supervisor: Supervisor) -> None:
    console = display.console()
    async with open_log(home, log, "cycle run") as connection:
        events_log = JetStreamLog(connection)
        cycle = await _next_cycle(events_log)
        await supervisor.start(
            group.role("scheduler", "--until-cycle", str(cycle), restart=Restart.ON_FAILURE, stop_grace_s=5)
        )
        await supervisor.before_refusal(show_progress(events_log, cycle, console))
        console.print(result_view(await supervisor.before_refusal(signed(events_log, cycle))))


async def _next_cycle(log: EventLog) -> CycleId:
    """The cycle that is under way, or else the one after the newest."""
    newest = await newest_cycle(log)
    under_way = newest > 0 and await log.last(subjects.weights(newest)) is None
    return newest if under_way else CycleId(newest + 1)
