"""`kinitro projector` and `kinitro db`: the read models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table

from events import display
from events.cli import LogOptions, ProcessOptions, open_log, options, run, run_once
from events.jetstream import JetStreamLog
from events.watching_options import MetricsOptions, TracingOptions
from projectors import operations
from projectors.choosing import NAMES, chosen
from projectors.database import create_database
from projectors.inspection import obstacle
from projectors.inspection_view import inspected
from projectors.operations import Status
from projectors.watching import LOOK_S, watching


@dataclass(frozen=True)
class DatabaseOptions:
    """Where the read models are."""

    database_url: Annotated[
        str | None,
        typer.Option(envvar="KINITRO_BACKEND_DATABASE_URL", help="PostgreSQL database; an embedded one when absent."),
    ] = None


@options
def projector(
    context: typer.Context,
    log: LogOptions,
    database: DatabaseOptions,
    metrics: MetricsOptions,
    tracing: TracingOptions,
    process: ProcessOptions,
) -> None:
    """Fold the log into the read models, for ever."""

    async def main(stop: asyncio.Event) -> None:
        async with (
            context.obj.database(database.database_url) as url,
            open_log(context.obj, log, "projector") as nats,
            watching(JetStreamLog(nats, patience_s=LOOK_S), url, metrics, tracing) as told,
        ):
            await create_database(url)
            await operations.run_projectors(JetStreamLog(nats), url, stop=stop, told=told)

    run(main, process.log_level)


db = typer.Typer(help="The database of read models.", no_args_is_help=True)


@db.command("create")
@options
def create(context: typer.Context, database: DatabaseOptions) -> None:
    """Create the database itself, if it is not there."""

    async def main() -> None:
        async with context.obj.database(database.database_url) as url:
            created = await create_database(url)
            typer.echo("created" if created else "exists already")

    run_once(main)


@db.command("init")
@options
def init(context: typer.Context, database: DatabaseOptions) -> None:
    """Create the tables that are not there."""

    async def main() -> None:
        async with context.obj.database(database.database_url) as url:
            await create_database(url)
            await operations.init(url)
            typer.echo("the tables are there")

    run_once(main)


@db.command("status")
@options
def status(context: typer.Context, log: LogOptions, database: DatabaseOptions) -> None:
    """Show what is in the read models and how far they are behind the log."""

    async def main() -> None:
        async with (
            context.obj.database(database.database_url) as url,
            open_log(context.obj, log, "db status") as nats,
        ):
            await create_database(url)
            _print(await operations.status(JetStreamLog(nats), url))

    run_once(main)


@db.command("inspect")
@options
def inspect(
    context: typer.Context,
    log: LogOptions,
    database: DatabaseOptions,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help=f"Which: {', '.join(NAMES)}; all when absent.")
    ] = None,
) -> None:
    """Show the event that a read model has stopped at, why, and what to do."""
    wanted = chosen(models or [])

    async def main() -> None:
        async with (
            context.obj.database(database.database_url) as url,
            open_log(context.obj, log, "db inspect") as nats,
        ):
            await create_database(url)
            events_log = JetStreamLog(nats)
            statuses = {it.name: it for it in await operations.positions(events_log, url)}
            for projection in wanted:
                status = statuses[projection.name]
                typer.echo(inspected(status, await obstacle(events_log, projection, status)))

    run_once(main)


def _print(status: Status) -> None:
    console = display.console()
    totals = Table.grid(padding=(0, 2))
    weights = status.latest_weights
    for name, value in (
        ("total cycles", status.total_cycles),
        ("unique miners evaluated", status.miners_evaluated),
        ("latest completed cycle", status.latest_completed_cycle or "none"),
        ("running cycle", status.running_cycle or "none"),
        ("latest weights", "none" if weights is None else f"cycle {weights.cycle} at block {weights.block}"),
        ("events in the log", status.log_last_sequence),
    ):
        totals.add_row(name, str(value))
    console.print(totals)
    table = Table(box=None, header_style="dim")
    for name in ("projection", "version", "sequence", "lag", "error"):
        table.add_column(name)
    for it in status.projections:
        table.add_row(it.name, str(it.version or "none"), str(it.sequence), str(it.lag), it.error or "")
    console.print(table)
    for it in status.projections:
        if it.error is not None:
            console.print(
                f"{it.name} has stopped: [bold]kinitro db inspect {it.name}[/] shows the event and what to do"
            )
