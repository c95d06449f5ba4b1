"""`kinitro compare`: two miners on the same episodes, from the log, a file, or anybody's API."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, cast

import aiohttp
import orjson
import typer

from consumers.audit.cycle.options import CycleSourceOptions
from consumers.explaining.answers import ask
from consumers.explaining.comparison_view import view
from consumers.scoring.paired import Compared, compared
from events import display, subjects
from events.bars import bar, counted
from events.cli import LogOptions, Misused, Servers, open_log, options, run_once
from events.codec import decode
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited
from events.export import read
from events.export_files import lines, reading
from events.ids import CycleId, EnvId, Uid
from events.jetstream import JetStreamLog
from events.log import Stored

PAGE = 500
"""Differing episodes in one answer of the API."""


@options
def compare(
    context: typer.Context,
    cycle: Annotated[int, typer.Argument(min=1, help="Number of the cycle.")],
    first: Annotated[str, typer.Argument(metavar="HOTKEY|UID", help="One miner.")],
    second: Annotated[str, typer.Argument(metavar="HOTKEY|UID", help="The other.")],
    source: CycleSourceOptions,
    log: LogOptions,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, exactly, as one JSON object.")] = False,
) -> None:
    """Say in which episodes of a cycle two miners differ, and whether that separates them."""
    source.check_log_not_named(context)
    if source.api_url is not None and source.file is not None:
        raise Misused("--api-url and --file: name one of them")
    names = first, second

    async def main() -> None:
        if source.api_url is not None:
            found = await _from_api(source.api_url.rstrip("/"), cycle, names)
        elif source.file is not None:
            found = await asyncio.to_thread(_from_file, source.file, CycleId(cycle), names)
        else:
            found = await _from_log(context.obj, log, CycleId(cycle), names)
        if as_json:
            typer.echo(orjson.dumps(found.model_dump(mode="json")))
        else:
            display.console().print(view(found))

    run_once(main)


class Outcomes:
    """What two miners of one cycle came to, event by event in log order."""

    def __init__(self, cycle: CycleId) -> None:
        self._cycle = cycle
        self._plan: CyclePlanned | None = None
        self._ended = False
        self._successes: dict[Uid, dict[tuple[EnvId, int], bool | None]] = {}

    def add(self, stored: Stored) -> None:
        """The next event of the log; those of other cycles say nothing here.

        Raises:
            CodecError: it cannot be read.
        """
        if not stored.subject.startswith(f"evt.cycle.{self._cycle}."):
            return
        match decode(stored).event:
            case CyclePlanned() as plan:
                self._plan = plan
            case CycleSealed() | CycleAbandoned():
                self._ended = True
            case EpisodeCompleted() | EpisodeForfeited() | EpisodeAbandoned() as outcome:
                success = isinstance(outcome, EpisodeCompleted) and outcome.success
                known = None if isinstance(outcome, EpisodeAbandoned) else success
                self._successes.setdefault(outcome.uid, {})[outcome.env, outcome.index] = known

    def compared(self, names: tuple[str, str]) -> Compared:
        """All of it.

        Raises:
            Misused: there is no such cycle or miner, or the cycle has not ended.
        """
        if self._plan is None:
            raise Misused(f"there is nothing of cycle {self._cycle} here; see `kinitro cycle list`")
        if not self._ended:
            raise Misused(f"cycle {self._cycle} has not ended; wait for `kinitro cycle show {self._cycle}` to say so")
        first, second = (_uid(self._plan, name) for name in names)
        successes = self._successes.get(first, {}), self._successes.get(second, {})
        return compared(self._plan, (first, second), successes)


def _uid(plan: CyclePlanned, name: str) -> Uid:
    for entry in plan.roster:
        if name in (entry.hotkey, str(entry.uid)):
            return entry.uid
    raise Misused(f"cycle {plan.cycle} has no miner {name!r}; `kinitro cycle show {plan.cycle}` lists them")


async def _from_log(servers: Servers, options: LogOptions, cycle: CycleId, names: tuple[str, str]) -> Compared:
    outcomes = Outcomes(cycle)
    async with open_log(servers, options, "compare") as connection:
        batches = JetStreamLog(connection).read(subject=subjects.cycle(cycle))
        async with aclosing(cast("Any", batches)):
            with bar("events") as tell:
                read_events = 0
                async for batch in batches:
                    for stored in batch:
                        outcomes.add(stored)
                    read_events += len(batch)
                    tell(read_events, None)
    return outcomes.compared(names)


def _from_file(path: Path, cycle: CycleId, names: tuple[str, str]) -> Compared:
    outcomes = Outcomes(cycle)
    with reading(path) as file, bar("events") as tell:
        for number, event in enumerate(counted(read(lines(file)), tell), start=1):
            outcomes.add(Stored(number, event.subject, event.body))
    return outcomes.compared(names)


async def _from_api(base_url: str, cycle: int, names: tuple[str, str]) -> Compared:
    url = f"{base_url}/v1/cycles/{cycle}/compare/{names[0]}/{names[1]}?limit={PAGE}"
    async with aiohttp.ClientSession() as session:
        found = page = await ask(session, url, Compared)
        differing = [*found.differing]
        while page.next_offset is not None and page.differing:
            page = await ask(session, f"{url}&offset={page.next_offset}", Compared)
            differing += page.differing
    return found.model_copy(update={"differing": differing, "next_offset": None})
