"""What stands on the screen. Pure: the same figures, size and moment give the same lines, none too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from events.cycles import CyclePlanned, CycleSealed, RosterEntry
from events.display import name_of, short, u16_by_uid
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeOutcome
from events.ids import EnvId, Uid
from events.progress import Cell
from events.top.watched import Watched
from events.weights import MinerStanding, WeightsComputed, WeightsWithheld

BAR_MAX = 60
NAME_MIN, NAME_MAX = 6, 14
CELL_MIN = 5
RECENT_SHOWN_MAX = 8
GAP = 2
"""Between columns."""


@dataclass(frozen=True)
class Window:
    """How large the terminal is, and from which miner on they are shown."""

    width: int
    height: int
    first: int = 0


@dataclass(frozen=True)
class Link:
    """Where the events come from, and since when nothing can (None: it can)."""

    where: str
    away_s: float | None = None


@dataclass(frozen=True)
class Page:
    """Lines for the screen, and how many miners they show, from which."""

    lines: list[Text]
    first: int
    shown: int


def page(watched: Watched, window: Window, link: Link, now: datetime) -> Page:
    """The whole screen."""
    plan = watched.progress.plan
    head = [_title(watched, link)]
    if plan is None:
        lines = [*head, Text(), Text("no cycle yet; the first is shown as soon as it is planned")]
        return Page(_cut(lines, window), 0, 0)
    head += [_bar(watched, plan, window.width), _facts(watched, plan, now), *_result(watched), Text()]
    recent = _recent(watched, plan, max(0, min(RECENT_SHOWN_MAX, (window.height - len(head) - 4) // 3)))
    rows_max = max(1, window.height - len(head) - len(recent) - 2)
    miners = _miners(watched, plan)
    first = max(0, min(window.first, len(miners) - rows_max))
    visible = miners[first : first + rows_max]
    foot = _foot(first, len(visible), len(miners))
    return Page(
        _cut([*head, *_table(watched, plan, visible, window.width), *recent, foot], window), first, len(visible)
    )


def _cut(lines: list[Text], window: Window) -> list[Text]:
    for line in lines:
        if not line.plain.isprintable():  # what a policy's server says must not steer the terminal
            line.plain = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line.plain)
        line.truncate(window.width, overflow="ellipsis")
    return lines[: window.height]


def _title(watched: Watched, link: Link) -> Text:
    plan = watched.progress.plan
    text = Text("kinitro top", style="bold") if plan is None else Text(f"cycle {plan.cycle}", style="bold")
    if plan is not None:
        text.append(f" {_state(watched)}", style="green" if watched.progress.ended is None else "bold")
    text.append("   ")
    if link.away_s is None:
        text.append("● ", style="green").append(link.where, style="dim")
    else:
        text.append(f"○ no connection to {link.where} for {span(link.away_s)}; trying", style="bold red")
    return text


def _state(watched: Watched) -> str:
    ended = watched.progress.ended
    if ended is None:
        return "running"
    if not isinstance(ended, CycleSealed):
        return "abandoned"
    if watched.result is None:
        return "sealed"
    return "weights computed" if isinstance(watched.result, WeightsComputed) else "weights withheld"


def _bar(watched: Watched, plan: CyclePlanned, width: int) -> Text:
    done, planned = watched.progress.done, plan.episodes_planned
    told = f" {done:,} of {planned:,} episodes"
    room = max(0, min(BAR_MAX, width - len(told)))
    filled = room * done // planned if planned else room
    return Text("━" * filled, style="green").append("━" * (room - filled), style="bright_black").append(told, "bold")


def _facts(watched: Watched, plan: CyclePlanned, now: datetime) -> Text:
    facts: list[str] = []
    if watched.progress.ended is None:
        rate, left_s = watched.rate(now), watched.left_s(now)
        facts = [f"{rate:.1f} episodes/s", "time left unknown" if left_s is None else f"{span(left_s)} left"]
        facts.append(f"{watched.workers(now)} workers seen")
    if watched.begun_at is not None:
        took_s = ((watched.ended_at or now) - watched.begun_at).total_seconds()
        facts.append(f"took {span(took_s)}" if watched.ended_at else f"running for {span(took_s)}")
    facts.append(f"{len(plan.roster)} miners")
    text = Text(" · ".join(facts))
    if watched.progress.attempts_failed:
        text.append(f" · {watched.progress.attempts_failed} attempts failed", style="yellow")
    return text


def _result(watched: Watched) -> list[Text]:
    weights = watched.weights
    if weights is None:
        return []
    if isinstance(weights, WeightsWithheld):
        told = f"cycle {weights.cycle} gives no weights ({weights.reason}): {weights.detail}"
        return [Text(told, style="yellow")]
    paid = [it for it in best_first(weights.standings) if float(it.weight) > 0]
    best = ", ".join(f"{it.uid} {name_of(it.hotkey)} {float(it.weight):.1%}" for it in paid[:3])
    more = f" and {len(paid) - 3} more" if len(paid) > 3 else ""
    return [Text(f"weights of cycle {weights.cycle}: {best}{more}", style="cyan")]


def best_first(standings: tuple[MinerStanding, ...]) -> list[MinerStanding]:
    """In the order of their weights, then points."""
    return sorted(standings, key=lambda it: (-float(it.weight), -int(it.points), it.uid))


def _miners(watched: Watched, plan: CyclePlanned) -> list[RosterEntry]:
    """As planned; once there are weights, best first."""
    if watched.result is None or not watched.result.standings:
        return list(plan.roster)
    place = {it.uid: number for number, it in enumerate(best_first(watched.result.standings))}
    return sorted(plan.roster, key=lambda it: place.get(it.uid, len(place)))


def _table(watched: Watched, plan: CyclePlanned, miners: list[RosterEntry], width: int) -> list[Text]:
    """The names of the columns, then a line for each of these miners."""
    cells = [[watched.progress.cells.get((it.uid, env), Cell()) for env in plan.environments] for it in miners]
    weights = _weights(watched)
    taken = 6 + (10 if weights else 0)
    narrowest = [
        max([CELL_MIN, *(len(_told(row[place])) for row in cells)]) for place in range(len(plan.environments))
    ]
    name_width = max(NAME_MIN, min(NAME_MAX, width - taken - sum(narrowest) - GAP * len(narrowest)))
    widths = _widths(plan.environments, narrowest, width - taken - name_width)
    hidden = len(plan.environments) - len(widths)
    head = Text(f"{'uid':>5} {'miner':<{name_width}}", style="dim")
    for env, room in zip(plan.environments, widths, strict=False):
        head.append(f"{'':{GAP}}{_fit(short(env), room):>{room}}")
    head.append(f"{'weight':>10}" if weights else "").append(f" +{hidden}" if hidden else "")
    return [head, *(_row(it, row, widths, name_width, weights) for it, row in zip(miners, cells, strict=True))]


def _widths(environments: tuple[EnvId, ...], narrowest: list[int], room: int) -> list[int]:
    """Of as many columns as fit, each as wide as its name as far as there is room."""
    widths: list[int] = []
    for least in narrowest:
        if sum(widths) + GAP * len(widths) + least + GAP > room - 3:
            break
        widths.append(least)
    spare = room - 3 - sum(widths) - GAP * len(widths)
    for place, env in enumerate(environments[: len(widths)]):
        more = max(0, min(len(short(env)) - widths[place], spare // (len(widths) - place)))
        widths[place] += more
        spare -= more
    return widths


def _fit(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _weights(watched: Watched) -> dict[Uid, str]:
    result = watched.result
    if result is None or not u16_by_uid(result):
        return {}
    return {it.uid: f"{float(it.weight):.6f}" for it in result.standings}


def _row(miner: RosterEntry, cells: list[Cell], widths: list[int], name_width: int, weights: dict[Uid, str]) -> Text:
    text = Text(f"{miner.uid:>5} {_fit(name_of(miner.hotkey), name_width):<{name_width}}")
    for cell, room in zip(cells, widths, strict=False):
        told = _told(cell)
        text.append(" " * (GAP + room - len(told)))
        rate, _, forfeits = told.partition(" ")
        text.append(rate, style="" if cell.done else "dim")
        if forfeits:
            text.append(f" {forfeits}", style="red")
    if weights:
        text.append(f"{weights.get(miner.uid, ''):>10}", style="cyan")
    return text


def _told(cell: Cell) -> str:
    """Successes of episodes done, then how many were forfeited."""
    return f"{cell.successful}/{cell.done} -{cell.forfeited}" if cell.forfeited else f"{cell.successful}/{cell.done}"


def _recent(watched: Watched, plan: CyclePlanned, count: int) -> list[Text]:
    if not count or not watched.recent:
        return []
    newest = [recorded for recorded, _ in zip(watched.recent, range(count), strict=False)]
    name_width = max((len(short(env)) for env in plan.environments), default=0)
    return [Text(), *(_outcome(recorded, name_width) for recorded in newest)]


def _outcome(recorded: RecordedEvent[EpisodeOutcome], name_width: int) -> Text:
    event = recorded.event
    text = Text(f"{recorded.time:%H:%M:%S} ", style="dim")
    text.append(f"{event.uid:>5} {short(event.env):<{name_width}} {event.index:>4}  ")
    if isinstance(event, EpisodeCompleted):
        how, style = ("success", "green") if event.success else ("no success", "")
        return text.append(how, style=style).append(
            f", {event.steps} steps, reward {event.total_reward:.1f}, {event.worker}", style="dim"
        )
    if isinstance(event, EpisodeAbandoned):
        return text.append(f"abandoned: {event.code}", style="yellow")
    return text.append(f"forfeited: {event.code}", style="red").append(f", {event.detail}", style="dim")


def _foot(first: int, shown: int, of: int) -> Text:
    if shown == of:
        return Text(f"all {of} miners · q quits", style="dim")
    return Text(f"miners {first + 1} to {first + shown} of {of} · ↑ ↓ PgUp PgDn Home End · q quits", style="dim")


def span(seconds: float) -> str:
    """A duration for people: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
