"""`kinitro replay`: make read models anew from the log."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from events.bars import bar
from events.cli import LogOptions, Misused, open_log, options, run_once
from events.jetstream import JetStreamLog
from projectors import operations
from projectors.choosing import NAMES, chosen
from projectors.commands import DatabaseOptions
from projectors.compare import Comparison, Different, Identical
from projectors.database import create_database
from projectors.replay import Replay, Replayed

REFRESH_S = 0.1


@options
def replay(
    context: typer.Context,
    log: LogOptions,
    database: DatabaseOptions,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help=f"Which: {', '.join(NAMES)}; all when absent.")
    ] = None,
    kept: Annotated[
        int,
        typer.Option(
            "--from", min=0, metavar="SEQ", help="Keep what they knew at this sequence, project what follows."
        ),
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace even what was made from another log than this.")
    ] = False,
) -> None:
    """Make read models anew beside the live ones, compare, and put them in their place.

    Readers see no gap, and a projector may be running.
    """
    wanted = chosen(models or [])
    if force and kept:
        raise Misused("--force replaces what was made from another log, so nothing can be kept: leave out --from")

    async def main() -> None:
        async with (
            context.obj.database(database.database_url) as url,
            open_log(context.obj, log, "replay") as nats,
        ):
            await create_database(url)
            async with operations.replaying(JetStreamLog(nats), url, wanted, kept=kept, other_log=force) as it:
                for each in await _watched(it):
                    typer.echo(line(each))

    run_once(main)


async def _watched(replay: Replay) -> list[Replayed]:
    """Runs it, with a bar on a terminal."""
    with bar(replay.stage) as tell:
        running = asyncio.create_task(replay.run())
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=REFRESH_S)
                tell(replay.position, replay.end, replay.stage)
            return await running
        finally:
            running.cancel()
            await asyncio.wait({running})


def line(it: Replayed) -> str:
    """What became of one read model."""
    events = it.end - it.kept
    rate = events / it.seconds if it.seconds > 0 else 0.0
    done = f"{it.name}: from {it.kept} to {it.end}, {events:,} events in {it.seconds:.1f} s ({rate:,.0f}/s)"
    return f"{done}; {verdict(it.comparison)}"


def verdict(comparison: Comparison) -> str:
    """What the comparison says, in words."""
    if isinstance(comparison, Identical):
        return f"identical to what was live at {comparison.sequence}"
    if isinstance(comparison, Different):
        key = ", ".join(f"{name} {value}" for name, value in comparison.key.items())
        return (
            f"not what was live at {comparison.sequence}: in {comparison.table}, the row of {key} {comparison.what}"
        )
    return f"not compared: {comparison.reason}"
