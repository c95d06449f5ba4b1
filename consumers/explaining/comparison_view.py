"""Two miners side by side, for a terminal."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.scoring.paired import Compared, Differing, PairedDifference

SHOWN_MAX = 10
"""Differing episodes; `--json` lists all."""


def view(it: Compared) -> RenderableType:
    """At most a screen."""
    head = Text(f"cycle {it.cycle}: {it.first} and {it.second}, who met the same episodes", style="bold")
    return Group(head, _table(it), *_differing(it), _verdict(it))


def _table(it: Compared) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    columns = ("environment", "both", "only first", "only second", "neither", "difference", "95% interval", "p")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    table.add_column("")
    for name, part in (*it.environments.items(), ("all", it.overall)):
        counts = part.both, part.only_first, part.only_second, part.neither
        difference = "none" if part.difference is None else _signed(Fraction(part.difference))
        interval = f"{_signed(Decimal(part.low))} to {_signed(Decimal(part.high))}"
        table.add_row(name, *map(str, counts), difference, interval, f"{float(part.p_value):.3f}", _separable(part))
    return table


def _differing(it: Compared) -> list[Text]:
    shown = [Text(_line(each, it)) for each in it.differing[:SHOWN_MAX]]
    rest = it.differing_total - len(shown)
    return [*shown, Text(f"and {rest} more; --json lists all")] if rest > 0 else shown


def _line(each: Differing, it: Compared) -> str:
    episode, other = (each.first, each.second) if each.succeeds == "first" else (each.second, each.first)
    return f"only {it.first if each.succeeds == 'first' else it.second} succeeds in {episode}, not in {other}"


def _verdict(it: Compared) -> Text:
    overall = it.overall
    left_out = f"; {overall.not_counted} episodes count for nobody" if overall.not_counted else ""
    differ = f"{it.differing_total} episodes differ{left_out}"
    match overall.verdict:
        case "not separable" if it.differing_total == 0:
            return Text(f"not separable: no episode differs{left_out}", style="bold yellow")
        case "not separable":
            return Text(f"not separable: {differ}, which may be chance", style="bold yellow")
        case "first is better":
            return Text(f"separable: {it.first} is better; {differ}", style="bold green")
        case "second is better":
            return Text(f"separable: {it.second} is better; {differ}", style="bold green")


def _separable(part: PairedDifference) -> str:
    return part.verdict if part.verdict == "not separable" else f"separable, {part.verdict}"


def _signed(number: Fraction | Decimal) -> str:
    return f"{float(number):+.3f}"
