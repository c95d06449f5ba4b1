"""`kinitro audit cycle`: is what was published of a cycle what follows from its events?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import aiohttp
import orjson
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.audit import sources as episodes
from consumers.audit.again import simulators
from consumers.audit.anchors import Anchors, ChainOptions
from consumers.audit.cycle.again import check_episodes
from consumers.audit.cycle.anchored import check_anchor
from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.options import CycleSourceOptions
from consumers.audit.cycle.sources import ApiSource, CycleSource, FileSource, LogSource
from consumers.audit.cycle.verdicts import CycleAudit, Verdict
from consumers.audit.marks import mark
from events import display
from events.bars import bar
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.ids import CycleId, Hotkey
from events.jetstream import JetStreamLog
from events.keys import is_address
from events.traces import TraceStore
from sim.versions import PROCESS_ENVIRONMENT

DIFFERENT = 1
"""The exit status where something differs. What cannot be audited ends with 2, as every misuse."""

EPISODES = 3
"""How many are run again where recordings can be had and nobody asks for another number."""

ALL = "all"


@options
def audit_cycle(
    context: typer.Context,
    cycle: Annotated[int, typer.Argument(min=1, help="Its number.")],
    source: CycleSourceOptions,
    chain: ChainOptions,
    log: LogOptions,
    again: Annotated[
        str | None,
        typer.Option(
            "--episodes", help=f"How many to run again, or all; {EPISODES} where absent, 0 with a file alone."
        ),
    ] = None,
    key: Annotated[str | None, typer.Option(help="The backend's key (SS58), which must have signed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Derive a cycle's weights again from its events: exit status 0 identical, 1 different, 2 impossible."""
    source.check_log_not_named(context)
    wanted = parse_episodes(again, default=0 if source.file and not source.api_url else EPISODES)
    if source.file and not source.api_url and wanted != 0:
        raise Misused(f"--episodes {again}: a file has no recordings; name with --api-url who has them, or ask for 0")
    if source.file and source.api_url and wanted == 0:
        raise Misused(
            "--api-url beside --file is asked for recordings only, and --episodes 0 wants none: leave one of them out"
        )
    pinned = parse_key(key)
    results: list[CycleAudit] = []

    async def main() -> None:
        async with (
            opened(context.obj, source, log) as (events, cases),
            _anchored(events, chain, CycleId(cycle)) as anchors,
        ):
            result = await run_audit(CycleId(cycle), events, cases, wanted, pinned, anchors)
        results.append(result)
        if as_json:
            typer.echo(orjson.dumps(document(result)))
        else:
            display.console().print(view(result))

    os.environ.update(PROCESS_ENVIRONMENT)  # for the process that simulates
    run_once(main)
    if not results[0].agrees:
        raise typer.Exit(DIFFERENT)


def parse_episodes(text: str | None, *, default: int) -> int | None:
    """How many; None for all.

    Raises:
        Misused: neither a number nor `all`.
    """
    if text is None:
        return default
    if text == ALL:
        return None
    if not (text.isascii() and text.isdigit()):
        raise Misused(f"--episodes {text}: expected a number or {ALL}")
    return int(text)


def parse_key(text: str | None) -> Hotkey | None:
    """The key that must have signed.

    Raises:
        Misused: it is no key.
    """
    if text is not None and not is_address(text):
        raise Misused(f"--key {text}: expected an address in SS58, as GET /v1/identity has it")
    return None if text is None else Hotkey(text)


async def run_audit(
    cycle: CycleId,
    source: CycleSource,
    cases: episodes.Source | None,
    wanted: int | None,
    key: Hotkey | None,
    anchors: Anchors | None = None,
) -> CycleAudit:
    """Reads, checks, and runs episodes again where all else agrees; with bars on a terminal.

    Raises:
        ChainTrouble: the chain that was named cannot be read now.
        CannotAudit: there is no result to audit, or the source does not answer.
    """
    fold, runs_again = CycleFold(cycle, keep_claims=wanted != 0), cases is not None and wanted != 0
    await read_into(fold, source, cycle)
    verdicts: list[Verdict] = await asyncio.to_thread(lambda: list(conclude(fold, source.trailer, key)))
    if anchors is not None:
        verdicts.append(await check_anchor(fold, anchors))
    result = CycleAudit(cycle, fold.all.size, tuple(verdicts))
    if runs_again and result.agrees and cases is not None:
        with bar("episodes again") as tell, simulators() as processes:
            again = await check_episodes(fold, wanted, cases, processes, tell)
        result = CycleAudit(cycle, fold.all.size, (*verdicts, again))
    return result


async def read_into(fold: CycleFold, source: CycleSource, cycle: CycleId) -> None:
    """All of the cycle, with a bar on a terminal.

    Raises:
        CannotAudit: as `CycleSource.batches`.
    """
    with bar("events") as tell:
        async for batch in source.batches(cycle):
            await asyncio.to_thread(fold.add, batch)
            if fold.episodes:
                tell(fold.episodes.ended, fold.episodes.planned)


@asynccontextmanager
async def _anchored(source: CycleSource, options: ChainOptions, cycle: CycleId) -> AsyncIterator[Anchors | None]:
    """The chain's side, if one was named. What was recorded only the log itself says: no file, and no API."""
    recorded = await source.anchors() if options.chain_endpoint and isinstance(source, LogSource) else []
    anchors = options.wanted(recorded[-1] if recorded else None)
    if anchors is None:
        yield None
        return
    anchors.recorded = next((each for each in recorded if each.cycle == cycle), None)
    try:
        yield anchors
    finally:
        await anchors.close()


@asynccontextmanager
async def opened(
    servers: Servers, source: CycleSourceOptions, log: LogOptions
) -> AsyncIterator[tuple[CycleSource, episodes.Source | None]]:
    """Who has the events of a cycle, and who has recordings, as far as anybody was named."""
    if source.api_url is not None:
        async with aiohttp.ClientSession() as session:
            cases = episodes.ApiSource(session, source.api_url)
            yield FileSource(source.file) if source.file else ApiSource(session, source.api_url), cases
    elif source.file is not None:
        yield FileSource(source.file), None
    else:
        async with open_log(servers, log, "audit") as connection:
            events = JetStreamLog(connection)
            yield LogSource(events), episodes.LogSource(events, TraceStore(connection))


def document(result: CycleAudit) -> dict[str, object]:
    """An audit as JSON values."""
    return {
        "cycle": result.cycle,
        "agrees": result.agrees,
        "verdict": result.verdict,
        "events": result.events,
        "checks": [
            {
                "name": it.name,
                "same": it.same,
                "detail": it.detail,
                "seconds": round(it.seconds, 6),
                "difference": None
                if it.difference is None
                else {
                    "where": it.difference.where,
                    "expected": it.difference.expected,
                    "found": it.difference.found,
                },
            }
            for it in result.verdicts
        ],
    }


def view(result: CycleAudit) -> RenderableType:
    """An audit for a terminal."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for verdict in result.verdicts:
        table.add_row(verdict.name, mark(verdict.same), Text(f"{verdict.seconds:.2f} s", style="dim"), verdict.detail)
    head = Text(f"cycle {result.cycle}: {result.events} events", style="bold")
    return Group(head, table, Text(result.verdict, style="bold green" if result.agrees else "bold red"))
