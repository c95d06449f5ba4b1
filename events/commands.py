"""`kinitro events`: look at the log itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.json import JSON

from events.cli import LogOptions, Misused, open_log, options, run, run_once, until
from events.codec import decode
from events.display import event_line
from events.export_commands import transfer
from events.jetstream import JetStreamLog
from events.log import Stored

TAIL = 10

events = typer.Typer(help="Look at the log, take it along, or mirror it.", no_args_is_help=True)
events.add_typer(transfer)
Raw = Annotated[bool, typer.Option("--json", help="The exact bytes, one event a line.")]


@events.command()
@options
def tail(
    context: typer.Context,
    log: LogOptions,
    subject: Annotated[str, typer.Option(help="NATS filter, for example 'evt.cycle.42.>'.")] = "evt.>",
    after: Annotated[
        int | None, typer.Option(min=0, help=f"Begin past this sequence; without it, the last {TAIL}.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Go on with what is appended later, until Ctrl-C.")] = True,
    raw: Raw = False,
) -> None:
    """Print events, one a line."""
    if not subject or not subject.isprintable() or " " in subject:
        raise Misused(f"--subject {subject!r} is not a NATS subject filter, as in 'evt.cycle.42.>'")

    async def main(stop: asyncio.Event) -> None:
        async with open_log(context.obj, log, "events tail") as connection:
            events_log = JetStreamLog(connection)
            start = max(0, await events_log.last_sequence() - TAIL) if after is None else after
            reader = events_log.follow if follow else events_log.read
            await until(stop, _print_all(reader(after=start, subject=subject), raw))

    run(main)


@events.command()
@options
def show(
    context: typer.Context,
    log: LogOptions,
    which: Annotated[str, typer.Argument(metavar="SEQUENCE|SUBJECT", help="For example 7, or evt.cycle.1.plan.")],
    raw: Raw = False,
) -> None:
    """Print one whole event."""

    async def main() -> None:
        async with open_log(context.obj, log, "events show") as connection:
            events_log = JetStreamLog(connection)
            last = await events_log.last_sequence()
            if not which.isdecimal():
                stored = await events_log.last(which)
            else:
                stored = await events_log.at(int(which)) if 1 <= int(which) <= last else None
            if stored is None:
                holds = f"has sequences 1 to {last}, see `kinitro events tail`" if last else "is empty"
                raise Misused(f"there is no event {which}; the log {holds}")
            _print_whole(stored, raw)

    run_once(main)


async def _print_all(batches: AsyncIterator[list[Stored]], raw: bool) -> None:
    console = Console(soft_wrap=True)
    async for batch in batches:
        for stored in batch:
            if raw:
                typer.echo(stored.body)
            else:
                console.print(event_line(decode(stored)))


def _print_whole(stored: Stored, raw: bool) -> None:
    if raw:
        typer.echo(stored.body)
        return
    console = Console(soft_wrap=True)
    console.print(event_line(decode(stored)))
    console.print(JSON(orjson.dumps(orjson.loads(stored.body)).decode()))
