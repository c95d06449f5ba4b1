"""`kinitro audit episode` and `kinitro episode render`: see for yourself what happened. For cycles see `cycle/`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import aiohttp
import orjson
import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.audit.again import simulators
from consumers.audit.case import Case
from consumers.audit.checks import Audit
from consumers.audit.cycle.commands import audit_cycle
from consumers.audit.episode import audit as audit_case
from consumers.audit.history.commands import audit_history
from consumers.audit.marks import mark
from consumers.audit.render import SUFFIXES, render
from consumers.audit.sources import ApiSource, LogSource, Source
from events import display
from events.bars import bar
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.ids import EpisodeKey
from events.jetstream import JetStreamLog
from events.traces import TraceStore
from sim.record import decode_record
from sim.versions import PROCESS_ENVIRONMENT

DIFFERENT = 1
"""The exit status where the second run disagrees. What cannot be audited ends with 2, as every misuse."""

audit = typer.Typer(help="Check what the log says by doing it again.", no_args_is_help=True)
episode = typer.Typer(help="Look at single episodes.", no_args_is_help=True)

audit.command("cycle")(audit_cycle)
audit.command("history")(audit_history)

EpisodeArgument = Annotated[
    str, typer.Argument(metavar="ID", help="cycle.uid.family.task.index, for example 42.7.metaworld.push-v3.0.")
]


@dataclass(frozen=True)
class SourceOptions:
    """From where evidence comes, where it is not the log."""

    api_url: Annotated[
        str | None, typer.Option(help="A public API, instead of the log: needs no access to NATS.")
    ] = None


@audit.callback()
def _audit() -> None:
    """Check what the log says by doing it again."""


@episode.callback()
def _episode() -> None:
    """Look at single episodes."""


@audit.command("episode")
@options
def audit_episode(
    context: typer.Context,
    episode_id: EpisodeArgument,
    source: SourceOptions,
    log: LogOptions,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Run an episode again from its recording, and compare: exit status 0 identical, 1 different, 2 impossible."""
    key = parse_key(episode_id)
    results: list[Audit] = []

    async def main() -> None:
        case = await _case(context.obj, source, log, key)
        with bar("the episode again"), simulators() as again:
            result = await audit_case(case, again)
        results.append(result)
        if as_json:
            typer.echo(orjson.dumps(document(result)))
        else:
            display.console().print(view(result, case))

    os.environ.update(PROCESS_ENVIRONMENT)  # for the process that simulates
    run_once(main)
    if not results[0].agrees:
        raise typer.Exit(DIFFERENT)


@episode.command("render")
@options
def render_episode(
    context: typer.Context,
    episode_id: EpisodeArgument,
    source: SourceOptions,
    log: LogOptions,
    out: Annotated[Path, typer.Option(help="A film (.mp4, in real time) or a sheet of twelve pictures (.png).")],
) -> None:
    """Run an episode again from its recording, and draw what the cameras saw, side by side."""
    key = parse_key(episode_id)
    if out.suffix.lower() not in SUFFIXES:
        raise Misused(f"--out {out}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if not out.absolute().parent.is_dir():
        raise Misused(f"--out {out}: there is no directory {out.absolute().parent}; create it")

    async def main() -> None:
        case = await _case(context.obj, source, log, key)
        record = decode_record(case.recording)
        with bar("drawing"), simulators() as again:
            told = {"title": key.id, "ending": case.claim.ending}
            drawn = await again.run(render, case.spec(), record.actions, out.absolute(), **told)
        typer.echo(f"{out}: {drawn.steps} steps, {drawn.fps:g} in a second of the simulation")
        if drawn.final_state_digest != case.claim.evidence.final_state_digest:
            typer.echo(f"what was drawn ends otherwise than the outcome says; see `kinitro audit episode {key.id}`")

    os.environ.update(PROCESS_ENVIRONMENT)  # for the process that simulates
    run_once(main)


def parse_key(text: str) -> EpisodeKey:
    """The episode of this id.

    Raises:
        Misused: it is none.
    """
    try:
        return EpisodeKey.parse(text)
    except ValueError as error:
        raise Misused(f"{error}, as in 42.7.metaworld.push-v3.0") from error


async def _case(servers: Servers, source: SourceOptions, log: LogOptions, key: EpisodeKey) -> Case:
    async with _opened(servers, source, log) as opened:
        return await opened.case(key)


@asynccontextmanager
async def _opened(servers: Servers, source: SourceOptions, log: LogOptions) -> AsyncIterator[Source]:
    if source.api_url is not None:
        async with aiohttp.ClientSession() as session:
            yield ApiSource(session, source.api_url)
    else:
        async with open_log(servers, log, "audit") as connection:
            yield LogSource(JetStreamLog(connection), TraceStore(connection))


def document(result: Audit) -> dict[str, object]:
    """An audit as JSON values."""
    return {
        "episode": result.episode,
        "agrees": result.agrees,
        "exact": result.is_exact,
        "verdict": result.verdict,
        "checks": [{"name": it.name, "same": it.same, "detail": it.detail, "step": it.step} for it in result.checks],
    }


def view(result: Audit, case: Case) -> RenderableType:
    """An audit for a terminal."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in result.checks:
        table.add_row(check.name, mark(check.same), check.detail)
    head = Text(f"episode {result.episode}: {case.claim.ending}; seed {case.seed()}", style="bold")
    return Group(head, table, Text(result.verdict, style="bold green" if result.agrees else "bold red"))
