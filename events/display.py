"""How a cycle looks in a terminal: what is running, who won, one line per event."""

from __future__ import annotations

import sys

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from events.envelope import RecordedEvent
from events.event import Event
from events.ids import CycleId, EnvId, Hotkey, Uid
from events.log import EventLog
from events.progress import Cell, CycleProgress, watch
from events.weights import MinerStanding, WeightsComputed, WeightsWithheld

NAME_MAX = 14
"""Characters of a hotkey that are shown: enough to tell miners apart."""


async def show_progress(log: EventLog, cycle: CycleId, console: Console) -> CycleProgress:
    """Draws the cycle while it runs, on a terminal in place, elsewhere a line now and then; returns its end."""
    if not console.is_terminal:
        return await _report_progress(log, cycle, console)
    progress = CycleProgress()
    with Live(Text(f"cycle {cycle} is being planned"), console=console, refresh_per_second=8) as live:
        async for progress in watch(log, cycle):
            live.update(progress_view(progress))
    return progress


async def _report_progress(log: EventLog, cycle: CycleId, console: Console) -> CycleProgress:
    progress, reported = CycleProgress(), -1
    async for progress in watch(log, cycle):
        if progress.plan is None:
            continue
        tenth = 10 * progress.done // progress.plan.episodes_planned
        if tenth > reported:
            reported = tenth
            console.print(f"cycle {cycle}: {progress.done} of {progress.plan.episodes_planned} episodes")
    return progress


def progress_view(progress: CycleProgress) -> RenderableType:
    """One bar for the cycle and a table of miners by environments: successes of episodes done."""
    plan = progress.plan
    if plan is None:
        return Text("waiting for the plan")
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        f"cycle {plan.cycle}",
        ProgressBar(total=plan.episodes_planned, completed=progress.done, width=40),
        f"{progress.done} of {plan.episodes_planned} episodes",
        f"[yellow]{progress.attempts_failed} attempts failed[/]" if progress.attempts_failed else "",
    )
    table = Table(box=None, header_style="dim")
    table.add_column("miner")
    for env in plan.environments:
        table.add_column(short(env), justify="right")
    for entry in plan.roster:
        cells = (progress.cells.get((entry.uid, env), Cell()) for env in plan.environments)
        table.add_row(f"{entry.uid} {name_of(entry.hotkey)}", *(_cell_text(cell) for cell in cells))
    return Group(bar, table)


def _cell_text(cell: Cell) -> str:
    text = f"{cell.successful}/{cell.done}"
    return f"{text} [red]-{cell.forfeited}[/]" if cell.forfeited else text


def result_view(event: WeightsComputed | WeightsWithheld) -> RenderableType:
    """The standings of a scored cycle, best first, with the weights that follow."""
    if isinstance(event, WeightsWithheld) and not event.standings:
        return Text(f"cycle {event.cycle} gives no weights ({event.reason}): {event.detail}", style="yellow")
    table = Table(
        title=f"Cycle {event.cycle} at block {event.block}", title_justify="left", box=None, header_style="dim"
    )
    for name in ("uid", "miner"):
        table.add_column(name, no_wrap=True)
    for env in event.epsilons:
        table.add_column(short(env), justify="right", overflow="fold")
    for name in ("frontier", "points", "weight", "u16"):
        table.add_column(name, justify="right", no_wrap=True)
    unpaid = any(map(_unpaid_text, event.standings))
    if unpaid:
        table.add_column("unpaid", no_wrap=True)
    u16 = u16_by_uid(event)
    for standing in sorted(event.standings, key=lambda it: (-float(it.weight), -int(it.points), it.uid)):
        rates = (_rate_text(standing, env) for env in event.epsilons)
        frontier = "yes" if standing.on_frontier else ""
        weight = f"{float(standing.weight):.6f}"
        table.add_row(
            str(standing.uid),
            name_of(standing.hotkey),
            *rates,
            frontier,
            standing.points,
            weight,
            str(u16.get(standing.uid, 0)),
            *([_unpaid_text(standing)] if unpaid else []),
        )
    if isinstance(event, WeightsWithheld):
        return Group(table, Text(f"weights withheld ({event.reason}): {event.detail}", style="yellow"))
    return table


def u16_by_uid(event: WeightsComputed | WeightsWithheld) -> dict[Uid, int]:
    if isinstance(event, WeightsWithheld):
        return {}
    return dict(zip(event.weights_u16.uids, event.weights_u16.values, strict=True))


def _rate_text(standing: MinerStanding, env: EnvId) -> str:
    tally = standing.tallies[env]
    return f"{tally.successful}/{tally.completed + tally.forfeited}"


def _unpaid_text(standing: MinerStanding) -> str:
    """Why it has no weight, whatever its points."""
    return ", ".join(name for name in ("moved", "unverified") if getattr(standing, name))


def event_line(recorded: RecordedEvent[Event]) -> Text:
    """One event on one line: sequence, time, what, where."""
    text = Text(f"{recorded.sequence:>8} ", style="dim")
    text.append(f"{recorded.time:%H:%M:%S.%f}"[:-3] + " ", style="dim")
    text.append(f"{recorded.event.type.removeprefix('kinitro.'):<26}", style="bold")
    text.append(recorded.subject)
    return text


def console() -> Console:
    """Standard output; where it is no terminal, wide enough for a table of the default environments."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def name_of(hotkey: Hotkey) -> str:
    return hotkey if len(hotkey) <= NAME_MAX else f"{hotkey[: NAME_MAX - 1]}…"


def short(env: EnvId) -> str:
    return env.partition("/")[2].removesuffix("-v3")
