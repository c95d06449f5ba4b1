"""`kinitro rescore`: what other rules would have given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, cast

import orjson
import typer

from consumers.audit.case import CannotAudit
from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.commands import opened, read_into
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.options import CycleSourceOptions
from consumers.audit.cycle.sources import CycleSource
from consumers.rescoring.view import document, view
from consumers.scoring.rescoring import Rescored
from consumers.scoring.rescoring import rescore as rescored
from events import display
from events.cli import LogOptions, Misused, options, run_once
from events.cycles import CyclePlanned
from events.ids import CycleId
from events.rules_file import RulesFile
from events.weights import WeightsComputed, WeightsWithheld


class NotAsPublished(CannotAudit):
    """The cycle's events do not give what was published of it, so there is nothing to hold other rules against."""


@options
def rescore(
    context: typer.Context,
    cycle: Annotated[int, typer.Argument(min=1, help="Its number.")],
    rules: Annotated[
        Path,
        typer.Option(help="TOML file of the rules that differ (events/rules.py); the others stay as in the plan."),
    ],
    source: CycleSourceOptions,
    log: LogOptions,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Show a cycle's scores and weights under other rules, beside the published ones."""
    source.check_log_not_named(context)
    if source.api_url is not None and source.file is not None:
        raise Misused("--api-url and --file: name one of them")

    async def main() -> None:
        other = RulesFile.read(rules)
        async with opened(context.obj, source, log) as (events, _):
            result = await run_rescore(CycleId(cycle), events, other)
        if as_json:
            typer.echo(orjson.dumps(document(result)))
        else:
            display.console().print(view(result))

    run_once(main)


async def run_rescore(cycle: CycleId, source: CycleSource, other: RulesFile) -> Rescored:
    """Reads and audits the cycle (but runs no episode again), and scores it under other rules.

    Raises:
        CannotAudit: there is no result, the source does not answer, or the audit finds a difference.
        RulesRefused: the other rules do not fit together.
    """
    fold = CycleFold(cycle)
    await read_into(fold, source, cycle)
    verdicts = await asyncio.to_thread(lambda: list(conclude(fold, source.trailer, None)))
    for verdict in verdicts:
        if verdict.same is False:
            raise NotAsPublished(
                f"cycle {cycle}: {verdict.name}: {verdict.detail}; see `kinitro audit cycle {cycle}`"
            )
    assert fold.episodes is not None
    assert fold.weights is not None
    plan = cast("CyclePlanned", fold.one[CyclePlanned].recorded.event)
    published = cast("WeightsComputed | WeightsWithheld", fold.weights.recorded.event)
    rules = other.over(plan.rules)
    return await asyncio.to_thread(rescored, plan, fold.episodes.tallies(), published, rules, fold.unpaid)
