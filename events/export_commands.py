"""`kinitro events export` and `import`: take events out of a log or an API, and make a mirror of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from events import subjects
from events.bars import Tell, bar, counted
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.export import Sink, Trailer, check, parse, read
from events.export_api import fetch_cycle, fetch_log
from events.export_files import STANDARD, lines, reading, writing
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.log import EventLog
from events.mirror import bring_in, check_whole, encode, of_cycle

transfer = typer.Typer()


@transfer.command("export")
@options
def export(
    context: typer.Context,
    log: LogOptions,
    out: Annotated[Path, typer.Option(help="A file, compressed if it ends in .gz, or - for standard output.")],
    cycle: Annotated[int | None, typer.Option(min=1, help="All about this cycle, instead of the whole log.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Begin past this sequence.")] = 0,
    api_url: Annotated[str | None, typer.Option(help="A public API, instead of the log.")] = None,
) -> None:
    """Write events as they are, one a line, and a trailer by which a reader sees that nothing is missing."""
    if cycle is not None and after:
        raise Misused(f"--cycle {cycle} --after {after}: a cycle is exported whole; leave one of them out")
    number = None if cycle is None else CycleId(cycle)

    async def main() -> None:
        with writing(out) as file, bar("events", shown=out != STANDARD or not sys.stdout.isatty()) as tell:
            sink = _Told(file, tell)
            if api_url is not None:
                trailer = await _from_api(api_url.rstrip("/"), number, after, sink)
            else:
                trailer = await _from_log(context.obj, log, number, after, sink)
        typer.echo(f"{out}: {_told(trailer)}", err=True)

    run_once(main)


@transfer.command("import")
@options
def import_(
    context: typer.Context,
    log: LogOptions,
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `events export` wrote, or - for standard input.")
    ],
) -> None:
    """Append an export to a log that is empty, or that holds what comes before: the log becomes a mirror."""

    async def main() -> None:
        async with open_log(context.obj, log, "events import") as connection:
            with bar("importing") as tell:
                events = counted(read(lines(file)), tell, trailer.count)
                done = await bring_in(JetStreamLog(connection), events, trailer)
        typer.echo(
            f"{source}: {_told(trailer)}; {done.appended} appended, {done.known} were there;"
            f" the log ends at sequence {done.last_sequence}"
        )

    with reading(source) as file:
        with bar("checking") as tell:
            trailer = check(counted(lines(file), tell))  # here, so that Ctrl-C ends it
        check_whole(trailer)
        run_once(main)


class _Told:
    """An export's sink that tells how many events it was given."""

    def __init__(self, sink: Sink, tell: Tell) -> None:
        self._sink, self._tell = sink, tell
        self._lines = 0
        self.total: int | None = None

    def write(self, piece: bytes, /) -> object:
        self._lines += piece.count(b"\n")
        self._tell(self._lines if self.total is None else min(self._lines, self.total), self.total)
        return self._sink.write(piece)


async def _from_api(base_url: str, cycle: CycleId | None, after: int, sink: Sink) -> Trailer:
    async with aiohttp.ClientSession() as session:
        if cycle is None:
            return await fetch_log(session, base_url, after, sink)
        return await fetch_cycle(session, base_url, cycle, sink)


async def _from_log(servers: Servers, options: LogOptions, cycle: CycleId | None, after: int, sink: _Told) -> Trailer:
    async with open_log(servers, options, "events export") as connection:
        log = JetStreamLog(connection)
        if cycle is None:
            sink.total = await log.last_sequence() - after
            return await _write(log, sink, after=after)
        if await log.last(subjects.plan(cycle)) is None:
            raise Misused(f"there is no cycle {cycle}; see `kinitro cycle list`")
        return await _write(log, sink, cycle=cycle)


async def _write(log: EventLog, sink: Sink, *, after: int = 0, cycle: CycleId | None = None) -> Trailer:
    batches = log.read(after=after) if cycle is None else log.read(subject=of_cycle(cycle))
    trailer = b""
    async for piece in encode(batches, after=after):
        sink.write(piece)
        trailer = piece
    parsed = parse(trailer)
    assert parsed is not None, "the last piece is the trailer"
    return parsed


def _told(trailer: Trailer) -> str:
    if not trailer.count:
        return f"no events past sequence {trailer.last_sequence}"
    return (
        f"{trailer.count} events, sequences {trailer.first_sequence} to {trailer.last_sequence}, root {trailer.root}"
    )
