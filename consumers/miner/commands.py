"""`kinitro miner verify-endpoint|init`: a policy server of one's own, tried before the backend does."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.miner.checks import Report, Verdict
from consumers.miner.template_files import write_template
from events.bars import bar
from events.cli import FAILED, run_once
from events.display import console
from sim.suite import find
from sim.versions import PROCESS_ENVIRONMENT

STYLES = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "bold red"}


def verify_endpoint(
    url: Annotated[str, typer.Argument(help="Base URL of the policy server.")],
    env: Annotated[str, typer.Option(help="In which environment, see `kinitro env list`.")] = "metaworld/reach-v3",
    episodes: Annotated[int, typer.Option(min=1, max=100, help="How many real episodes.")] = 1,
    observation_profile: Annotated[str, typer.Option(help="What the policy sees.")] = "rgb84/1",
    max_timesteps: Annotated[int, typer.Option(min=1, max=500, help="Step limit of an episode.")] = 100,
    action_timeout_ms: Annotated[int, typer.Option(min=1, help="Deadline for one act.")] = 100,
    reset_timeout_ms: Annotated[int, typer.Option(min=1, help="Deadline for a reset.")] = 5000,
    allow_private_endpoints: Annotated[
        bool,
        typer.Option(
            "--allow-private-endpoints",
            help="Try it at a private or loopback address; a backend will not call there.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
) -> None:
    """Try a policy server as an evaluation does: all calls, times and shapes; status 1 where it would fail."""
    os.environ.update(PROCESS_ENVIRONMENT)  # before the simulator is loaded
    from consumers.miner.verifying import Trial, Verification
    from sim.stage import SimulationThread

    trial = Trial(
        endpoint=url,
        env=find(env),
        episodes=episodes,
        profile=observation_profile,
        steps_max=max_timesteps,
        act_deadline_ms=action_timeout_ms,
        reset_deadline_ms=reset_timeout_ms,
        allow_private=allow_private_endpoints,
    )
    reports: list[Report] = []

    async def main() -> None:
        async with SimulationThread() as stage:
            with bar("checks") as tell:
                reports.append(await Verification(trial, stage, tell).report())

    run_once(main)
    report = reports[0]
    if as_json:
        typer.echo(orjson.dumps({"endpoint": url, "ok": report.ok, **dataclasses.asdict(report)}))
    else:
        _show(report, console())
    if not report.ok:
        raise typer.Exit(FAILED)


def init(
    directory: Annotated[Path, typer.Argument(help="A new or an empty directory.")],
) -> None:
    """Write a policy server to begin with: a template, its README, requirements and Dockerfile."""
    for path in write_template(directory):
        typer.echo(path)
    typer.echo(f"what to do next: {directory / 'README.md'}")


def _show(report: Report, on: Console) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in report.checks:
        said = f"{check.code}: {check.detail}" if check.code else check.detail
        table.add_row(check.name, Text(check.verdict, style=STYLES[check.verdict]), Text(said))
        if check.remedy:
            table.add_row("", "", Text(f"-> {check.remedy}"))
    on.print(table)
    verdicts = [check.verdict for check in report.checks]
    ended = "it would be evaluated" if report.ok else "an evaluation would fail"
    warnings = verdicts.count(Verdict.WARNING)
    on.print(f"{ended}; {warnings} warnings" if warnings else ended, highlight=False)
