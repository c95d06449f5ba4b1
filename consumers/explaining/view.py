"""An explanation for a terminal: what a miner who lost wants to know first."""

from __future__ import annotations

from fractions import Fraction

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from consumers.scoring.explanation_parts import (
    EnvironmentPart,
    Explanation,
    LossShown,
    Rival,
)

NAME_MAX = 14
EXAMPLES = 5


def view(it: Explanation) -> RenderableType:
    """At most a screen; `--json` has the rest, and every digit."""
    head = Text(
        f"cycle {it.cycle}, uid {it.miner.uid} ({it.miner.hotkey[:NAME_MAX]}): weight {float(it.weight.weight):.4f},"
        f" rank {it.weight.rank} of {it.weight.miners}",
        style="bold",
    )
    counted = "1 point" if it.points.published == "1" else f"{it.points.published} points"
    points = Text(f"{counted} ({it.points.formula}); the most, {it.points.most}: {_best(it)}")
    won = [Text(f"won {{{', '.join(subset)}}}", style="green") for subset in it.subsets.largest_won[:EXAMPLES]]
    lines: list[RenderableType] = [
        head,
        *_unpaid(it),
        points,
        *_disagreement(it),
        _table(it),
        *won,
        *(_lost(loss) for loss in it.subsets.smallest_lost[:EXAMPLES]),
    ]
    return Group(*lines, _frontier(it), _proof(it))


def _best(it: Explanation) -> str:
    return "this miner" if it.points.most_of == it.miner else f"uid {it.points.most_of.uid}"


def _unpaid(it: Explanation) -> list[Text]:
    why = []
    if it.weight.moved:
        why.append("its hotkey no longer held the uid when the cycle ended")
    if it.weight.unverified_since is not None:
        why.append(f"it failed its spot check in cycle {it.weight.unverified_since}")
    return [Text(f"no weight: {reason}", style="bold red") for reason in why]


def _disagreement(it: Explanation) -> list[Text]:
    if it.points.recomputed in (None, it.points.published):
        return []
    said = f"the rules give {it.points.recomputed} points, not the {it.points.published} that were published"
    return [Text(said, style="bold red")]


def _table(it: Explanation) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("environment", "rate", "others need", "alone", "why"):
        table.add_column(name)
    for part in it.environments:
        rate = f"{part.rate.successes}/{part.rate.counted} = {_short(part.rate.rate)}"
        alone = Text("won", style="green") if part.wins_alone else Text("lost", style="red")
        table.add_row(part.env, rate, f"> {_short(part.threshold)}", alone, _why(part))
    return table


def _why(part: EnvironmentPart) -> str:
    if part.rate.successes == 0:
        return "no success"
    if part.not_exceeded.listed:
        first = part.not_exceeded.listed[0]
        return f"not above {_short(first.threshold)} of {_name(first)}, who is earlier: {_short(first.by)} short"
    if part.exceeded_by.listed:
        first = part.exceeded_by.listed[0]
        return f"{_name(first)}, who is later, exceeds it with {_short(first.rate.rate)}: by {_short(first.by)}"
    return ""


def _lost(loss: LossShown) -> Text:
    names = ", ".join(loss.environments)
    to = f" to uid {loss.by.uid}" if loss.by else ""
    return Text(f"lost {{{names}}}{to}: {loss.reason}")


def _frontier(it: Explanation) -> Text:
    by = ", ".join(f"uid {each.miner.uid}" for each in it.frontier.dominated_by)
    return Text(f"dominated by {by}" if by else "on the frontier: nobody dominates it")


def _proof(it: Explanation) -> Text:
    proof = it.proof
    return Text(
        f"weights: event {proof.weights_event_id} at {proof.weights_sequence}; {proof.tree_size} events from"
        f" {proof.first_sequence} to {proof.last_sequence} under {proof.merkle_root}",
        style="dim",
    )


def _name(rival: Rival) -> str:
    return f"uid {rival.miner.uid}"


def _short(number: str) -> str:
    return f"{float(Fraction(number)):.3f}"
