"""A rescored cycle, for people and for programs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.scoring.rescoring import MinerRescored, Rescored, Result
from consumers.scoring.weighing import text
from events.rule_changes import Withheld

NONE = "-"


def view(result: Rescored) -> RenderableType:
    """For a terminal: the rules that differ, then each miner under both."""
    parts: list[RenderableType] = [Text(f"cycle {result.cycle}", style="bold"), _rules(result)]
    for whose, withheld in (("published", result.published_withheld), ("other", result.other_withheld)):
        if withheld is not None:
            said = f"under the {whose} rules weights are withheld ({withheld.reason}): {withheld.detail}"
            parts.append(Text(said, style="yellow"))
    return Group(*parts, _miners(result))


def document(result: Rescored) -> dict[str, object]:
    """As JSON values, numbers that may be large or have digits as text."""
    return {
        "cycle": result.cycle,
        "rules": [{"name": it.name, "published": it.value, "other": it.other} for it in result.rules],
        "published_withheld": _withheld(result.published_withheld),
        "other_withheld": _withheld(result.other_withheld),
        "miners": [
            {
                "uid": it.uid,
                "hotkey": it.hotkey,
                "published": _result(it.published),
                "other": _result(it.other),
                "difference": _difference(it),
            }
            for it in result.miners
        ],
    }


def _rules(result: Rescored) -> RenderableType:
    if not result.rules:
        return Text("no rule differs", style="yellow")
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("rule", "published", "other"):
        table.add_column(name)
    for rule in result.rules:
        table.add_row(rule.name, rule.value, rule.other)
    return table


def _miners(result: Rescored) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("uid", "miner"):
        table.add_column(name, no_wrap=True)
    for name in ("rank", "points", "weight", "u16"):
        for column in (name, "other", "+/-"):
            table.add_column(column, justify="right", no_wrap=True)
    for miner in result.miners:
        table.add_row(str(miner.uid), miner.hotkey, *_cells(miner))
    return table


def _cells(miner: MinerRescored) -> list[str]:
    was, now = miner.published, miner.other
    cells: list[str] = []
    for name, form in (("rank", "{}"), ("points", "{}"), ("weight", "{:.6f}"), ("u16", "{}")):
        cells += (form.format(getattr(it, name)) if it else NONE for it in (was, now))
        difference = getattr(now, name) - getattr(was, name) if was and now else None
        cells.append(NONE if difference is None else form.replace(":", ":+").replace("{}", "{:+}").format(difference))
    return cells


def _result(result: Result | None) -> dict[str, object] | None:
    if result is None:
        return None
    return {"rank": result.rank, "points": str(result.points), "weight": text(result.weight), "u16": result.u16}


def _difference(miner: MinerRescored) -> dict[str, object] | None:
    was, now = miner.published, miner.other
    if was is None or now is None:
        return None
    return {
        "rank": now.rank - was.rank,
        "points": str(now.points - was.points),
        "weight": text(now.weight - was.weight),
        "u16": now.u16 - was.u16,
    }


def _withheld(withheld: Withheld | None) -> dict[str, str] | None:
    return None if withheld is None else {"reason": withheld.reason.value, "detail": withheld.detail}
