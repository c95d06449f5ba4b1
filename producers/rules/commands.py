"""`kinitro rules`: which scoring rules count, and which will."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from events import display
from events.announced_rules import RulesNow, rules_now
from events.cli import LogOptions, Misused, open_log, options, run_once
from events.event import TEXT_MAX
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.rules import ScoringRules
from events.rules_file import RulesFile
from producers.rules.announcing import announce, to_come

rules = typer.Typer(help="The scoring rules: in force, and announced.", no_args_is_help=True)


@rules.command("announce")
@options
def announce_rules(
    context: typer.Context,
    log: LogOptions,
    rules: Annotated[
        Path,
        typer.Option(
            help="TOML file of the rules that change (events/rules.py); the others stay as announced before for"
            " that cycle, or else as in the newest plan."
        ),
    ],
    from_cycle: Annotated[int, typer.Option(min=1, help="The first cycle in which they count.")],
    note: Annotated[str | None, typer.Option(help=f"Why, for people; at most {TEXT_MAX} characters.")] = None,
) -> None:
    """Announce rules to come. Until they count, each cycle is scored under them as well, for all to see."""
    if note is not None and (len(note) > TEXT_MAX or "\x00" in note):
        raise Misused(f"--note has {len(note)} characters; write at most {TEXT_MAX}, and no U+0000")

    async def main() -> None:
        file = RulesFile.read(rules)
        async with open_log(context.obj, log, "rules announce") as connection:
            events = JetStreamLog(connection)
            done = await announce(events, CycleId(from_cycle), file, note)
            late = f"; cycle {from_cycle} was planned just before" if done.counts_from > from_cycle else ""
            display.console().print(f"announced: these rules count from cycle {done.counts_from} on{late}")
            display.console().print(_values(await rules_now(events)))

    run_once(main)


@rules.command("list")
@options
def list_rules(context: typer.Context, log: LogOptions) -> None:
    """List all announcements, the latest cycle first."""

    async def main() -> None:
        async with open_log(context.obj, log, "rules list") as connection:
            now = await rules_now(JetStreamLog(connection))
        display.console().print(_announcements(now) if now.announced else "none was announced")

    run_once(main)


@rules.command("show")
@options
def show_rules(context: typer.Context, log: LogOptions) -> None:
    """Show the rules of the newest cycle, and beside them those to come where they differ."""

    async def main() -> None:
        async with open_log(context.obj, log, "rules show") as connection:
            now = await rules_now(JetStreamLog(connection))
        if now.plan is None and not now.announced:
            raise Misused("no cycle is planned, and no rules are announced: they are the options of the scheduler")
        display.console().print(_values(now))

    run_once(main)


def _announcements(now: RulesNow) -> Table:
    table = Table(box=None, header_style="dim")
    for name in ("from cycle", "announced", "sequence", "state", "note"):
        table.add_column(name)
    for it in reversed(now.announced):
        event, late = it.recorded.event, it.counts_from > it.recorded.event.cycle
        state = f"{it.standing}, from {it.counts_from}" if late else str(it.standing)
        at = f"{it.recorded.time:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(event.cycle), at, str(it.recorded.sequence), state, event.note or "")
    return table


def _values(now: RulesNow) -> Table:
    columns = {f"cycle {now.plan.event.cycle}": now.plan.event.rules} if now.plan else {}
    columns |= {f"from cycle {it.counts_from}": it.recorded.event.rules for it in to_come(now)}
    table = Table(box=None, header_style="dim")
    for name in ("rule", *columns):
        table.add_column(name)
    for name in ScoringRules.model_fields:
        first, *others = (str(getattr(each, name)) for each in columns.values())
        table.add_row(name, first, *("" if each == first else each for each in others))
    return table
