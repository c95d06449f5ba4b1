"""`kinitro tasks`: what is on the work queue, and tasks that nobody could take."""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.json import JSON

from events.cli import FAILED, LogOptions, Misused, open_log, options, run_once
from events.concealing import concealed_task
from events.connection import Connection
from events.dead_letters import DeadLetters, Filed
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.queue_overview import Overview
from events.task_retry import Retried, retry

SHOWN_MAX = 50
"""Dead letters in a list for people, and miners of a cycle."""
REASON_SHOWN = 160

tasks = typer.Typer(help="Look at the work queue, and at tasks that nobody could take.", no_args_is_help=True)
Which = typer.Argument(metavar="SUBJECT|NUMBER", help="Of the dead letter, as `kinitro tasks list` has them.")


@tasks.command("list")
@options
def list_tasks(
    context: typer.Context,
    log: LogOptions,
    as_json: Annotated[bool, typer.Option("--json", help="All of it, as one JSON object.")] = False,
) -> None:
    """Count what waits for a worker or is with one, and list the dead letters, the newest last."""

    async def main() -> None:
        async with open_log(context.obj, log, "tasks list") as connection:
            overview = await JetStreamQueue(connection).overview()
            dead = [filed async for filed in DeadLetters(connection).all()]
        if as_json:
            typer.echo(orjson.dumps(_document(overview, dead), option=orjson.OPT_NON_STR_KEYS))
            return
        _print_lines([*_queue_lines(overview), *_letter_lines(dead)])

    run_once(main)


@tasks.command("show")
@options
def show_task(context: typer.Context, log: LogOptions, which: Annotated[str, Which]) -> None:
    """Print one dead letter: why, since when, and the task without endpoints."""

    async def main() -> None:
        async with open_log(context.obj, log, "tasks show") as connection:
            [filed] = await _found(connection, [which])
        _print_lines(_whole(filed))
        body = concealed_task(filed.task, filed.letter.body)
        if body is None:
            size = len(filed.letter.body)
            _print_lines([f"its {size} bytes are no JSON object, and are not shown: they may hold an endpoint"])
        else:
            Console(soft_wrap=True).print(JSON(orjson.dumps(body).decode()))

    run_once(main)


@tasks.command("retry")
@options
def retry_tasks(
    context: typer.Context,
    log: LogOptions,
    which: Annotated[list[str] | None, Which] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
) -> None:
    """Put tasks on the queue again; where nothing can come of it any more, say why, and remove the letter.

    Status 1 where a task that was named could not be put back.
    """
    if everything == bool(which):
        raise Misused("name the dead letters to be retried, or all of them with --all; see `kinitro tasks list`")
    refused: list[str] = []

    async def main() -> None:
        async with open_log(context.obj, log, "tasks retry") as connection:
            events, queue, letters = JetStreamLog(connection), JetStreamQueue(connection), DeadLetters(connection)
            chosen = [it async for it in letters.all()] if everything else await _found(connection, which or [])
            if not chosen:
                _print_lines(["no dead letters"])
            for filed in chosen:
                done = await retry(filed, log=events, queue=queue, letters=letters)
                if isinstance(done, Retried):
                    _print_lines([f"{filed.task}: {done.value}"])
                else:
                    refused.append(filed.task)
                    _print_lines([f"{filed.task}: not retried, and its letter removed: {done}"])

    run_once(main)
    if refused and not everything:
        raise typer.Exit(FAILED)


async def _found(connection: Connection, which: list[str]) -> list[Filed]:
    letters = DeadLetters(connection)
    found: dict[int, Filed] = {}
    for each in which:
        filed = await letters.find(int(each) if each.isascii() and each.isdecimal() else each)
        if filed is None:
            raise Misused(f"there is no dead letter {each}; `kinitro tasks list` has those that are there")
        found[filed.number] = filed
    return list(found.values())


def _queue_lines(overview: Overview) -> list[str]:
    if not overview.total:
        return ["the work queue is empty"]
    lines = [
        f"{overview.total} on the work queue: {overview.waiting} wait,"
        f" {overview.with_workers} with workers, {overview.with_verifiers} with verifiers"
    ]
    for cycle, it in overview.cycles.items():
        lines.append(f"cycle {cycle}  episodes: {it.episodes}, checks: {it.checks}")
        if it.by_environment:
            lines.append("    " + _counts("by environment", dict(sorted(it.by_environment.items()))))
        lines.append("    " + _counts("by uid", dict(sorted(it.by_uid.items()))))
    if overview.others:
        lines.append(f"{overview.others} at subjects that no task of ours has")
    return lines


def _counts(title: str, counts: dict[str, int] | dict[int, int]) -> str:
    shown = [f"{name}: {count}" for name, count in list(counts.items())[:SHOWN_MAX]]
    more = f" and {len(counts) - SHOWN_MAX} more (--json)" if len(counts) > SHOWN_MAX else ""
    return f"{title}  {', '.join(shown)}{more}"


def _letter_lines(dead: list[Filed]) -> list[str]:
    if not dead:
        return ["no dead letters"]
    older = len(dead) - SHOWN_MAX
    lines = [f"dead letters: {len(dead)}{f', here the newest {SHOWN_MAX} (--json has all)' if older > 0 else ''}"]
    for filed in dead[-SHOWN_MAX:]:
        it = filed.letter
        often = f" ({it.times} times)" if it.times > 1 else ""
        lines.append(
            f"{filed.number:>6}  {filed.task}  since {it.since:%Y-%m-%d %H:%M:%S}{often}: {_line(it.reason)}"
        )
    return [*lines, "`kinitro tasks show NUMBER` has one whole, `kinitro tasks retry` puts it on the queue again"]


def _line(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= REASON_SHOWN else f"{line[: REASON_SHOWN - 3]}..."


def _whole(filed: Filed) -> list[str]:
    it = filed.letter
    return [
        f"number      {filed.number}",
        f"task        {filed.task}",
        f"reason      {it.reason}",
        f"given up    {it.at:%Y-%m-%d %H:%M:%S} UTC by {it.worker}, on delivery {it.deliveries}",
        f"since       {it.since:%Y-%m-%d %H:%M:%S} UTC",
        f"times       {it.times}",
    ]


def _document(overview: Overview, dead: list[Filed]) -> dict[str, object]:
    return {
        "queue": {
            "waiting": overview.waiting,
            "with_workers": overview.with_workers,
            "with_verifiers": overview.with_verifiers,
            "others": overview.others,
            "cycles": [
                {
                    "cycle": cycle,
                    "episodes": it.episodes,
                    "checks": it.checks,
                    "by_environment": dict(it.by_environment),
                    "by_uid": dict(it.by_uid),
                }
                for cycle, it in overview.cycles.items()
            ],
        },
        "dead_letters": [
            {"number": it.number, "task": it.task, **it.letter.model_dump(mode="json", exclude={"body"})}
            for it in dead
        ],
    }


def _print_lines(lines: list[str]) -> None:
    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False, emoji=False)
