"""`kinitro cycle list|show`; `kinitro cycle run` needs the other packages too, and is with them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from events import display, subjects
from events.cli import LogOptions, Misused, open_log, options, run_once
from events.codec import decode, decode_as
from events.cycles import CyclePlanned, CycleSealed
from events.display import progress_view, result_view
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.log import EventLog
from events.progress import CycleProgress
from events.weights import WeightsComputed
from producers.cycles.results import result_of

cycle = typer.Typer(help="Evaluation cycles.", no_args_is_help=True)


@cycle.command("list")
@options
def list_cycles(context: typer.Context, log: LogOptions) -> None:
    """List all cycles, newest first."""

    async def main() -> None:
        async with open_log(context.obj, log, "cycle list") as connection:
            events_log = JetStreamLog(connection)
            plans = [
                decode_as(CyclePlanned, stored)
                async for batch in events_log.read(subject=subjects.PLANS)
                for stored in batch
            ]
            table = Table(box=None, header_style="dim")
            for name in ("cycle", "planned", "miners", "environments", "episodes", "state"):
                table.add_column(name)
            for plan in reversed(plans):
                event = plan.event
                table.add_row(
                    str(event.cycle),
                    f"{plan.time:%Y-%m-%d %H:%M:%S}",
                    str(len(event.roster)),
                    str(len(event.environments)),
                    str(event.episodes_planned),
                    await _state_of(events_log, event.cycle),
                )
            display.console().print(table if plans else "no cycle yet; start one with `kinitro cycle run`")

    run_once(main)


@cycle.command("show")
@options
def show_cycle(
    context: typer.Context, log: LogOptions, number: Annotated[int, typer.Argument(min=1, help="The cycle.")]
) -> None:
    """Show one cycle: how far it is, and what came out."""

    async def main() -> None:
        async with open_log(context.obj, log, "cycle show") as connection:
            events_log, wanted, progress = JetStreamLog(connection), CycleId(number), CycleProgress()
            async for batch in events_log.read(subject=subjects.cycle(wanted)):
                for stored in batch:
                    progress.apply(decode(stored).event)
            if progress.plan is None:
                raise Misused(f"there is no cycle {number}; see `kinitro cycle list`")
            console = display.console()
            console.print(progress_view(progress))
            if (result := await result_of(events_log, wanted)) is not None:
                console.print(result_view(result))

    run_once(main)


async def _state_of(events_log: EventLog, number: CycleId) -> str:
    stored = await events_log.last(subjects.seal(number))
    if stored is None:
        return "running"
    if not isinstance(decode(stored).event, CycleSealed):
        return "abandoned"
    result = await result_of(events_log, number)
    if result is None:
        return "sealed"
    return "weights computed" if isinstance(result, WeightsComputed) else f"weights withheld ({result.reason})"
