"""`kinitro verify`: the check of a verifier, by hand; without log or database."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumers.verification.options import CACHE, CommittedCodeOptions
from consumers.verification.verdict import Failed, Finding, Inconclusive, Passed
from events.cli import FAILED, Misused, options, run_once
from events.display import console
from events.verification import SAMPLES_MAX, CheckedSample, ComparedActions, Method
from events.verification_options import VerificationOptions, tolerance_of
from sim.suite import DEFAULT_ENVIRONMENTS, find
from sim.versions import PROCESS_ENVIRONMENT

if TYPE_CHECKING:
    from consumers.verification.repository import Repositories
    from events.ids import EnvId

UNDECIDED = 2
"""The exit status of what could not be found out, as of every misuse."""
HERE = "-"
"""In place of a revision: the repository is a directory of this machine."""


@options
def verify(
    context: typer.Context,
    repo: Annotated[str, typer.Argument(help="Repository of the hub, as in alice/reacher; or a directory.")],
    revision: Annotated[
        str, typer.Argument(help="Hash of a commit, 8 to 40 digits; `-` where REPO is a directory of this machine.")
    ],
    endpoint: Annotated[str, typer.Argument(help="Base URL of the policy server.")],
    committed: CommittedCodeOptions,
    environments: Annotated[
        str, typer.Option(help="Comma-separated, see `kinitro env list`; one episode of each in turn.")
    ] = ",".join(DEFAULT_ENVIRONMENTS),
    samples: Annotated[
        int, typer.Option(min=1, max=SAMPLES_MAX, help="How many actions are compared, each of another episode.")
    ] = VerificationOptions.verification_samples,
    tolerance: Annotated[str, typer.Option(help="Relative error of an action up to which it is the same.")] = str(
        VerificationOptions.verification_tolerance
    ),
    observation_profile: Annotated[str, typer.Option(help="What the policy sees.")] = "rgb84/1",
    allow_private_endpoints: Annotated[
        bool,
        typer.Option(
            "--allow-private-endpoints",
            help="Check a server at a private or loopback address; a backend will not call there.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, for programs.")] = False,
) -> None:
    """Check by hand whether a policy server acts as the committed repository.

    Runs a few short episodes against the server. Then asks it, and the committed code in a sandbox, for an action of
    each.

    Before you upload, try a directory: kinitro verify ./policy - http://127.0.0.1:9000 --allow-private-endpoints

    Exit status: 0 passed, 1 failed, 2 could not be found out.
    """
    os.environ.update(PROCESS_ENVIRONMENT)  # before the simulator is loaded
    from consumers.verification.by_hand import Trial, checked
    from sim.stage import SimulationThread

    trial = Trial(
        endpoint=endpoint,
        allow_private=allow_private_endpoints,
        environments=_environments(environments),
        profile=observation_profile,
        samples=samples,
        tolerance=_tolerance(tolerance),
        engine=committed.engine(),
    )
    code = _code(repo, revision, committed, context.obj.home / CACHE)
    findings: list[Finding] = []

    async def main() -> None:
        async with SimulationThread() as stage:
            findings.append(await checked(trial, code, stage, lambda line: typer.echo(line, err=True)))

    run_once(main)
    finding = findings[0]
    if as_json:
        typer.echo(orjson.dumps(document(finding)))
    else:
        _show(finding, console())
    if not isinstance(finding, Passed):
        raise typer.Exit(FAILED if isinstance(finding, Failed) else UNDECIDED)


def _environments(text: str) -> list[EnvId]:
    found = [find(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise Misused("--environments names none; see `kinitro env list`")
    return found


def _tolerance(text: str) -> Decimal:
    try:
        return tolerance_of(text)
    except typer.BadParameter as error:
        raise Misused(f"--tolerance: {error.message}") from error


def _code(
    repo: str, revision: str, committed: CommittedCodeOptions, cache_dir: Path
) -> Path | tuple[Repositories, str, str]:
    if revision != HERE:
        size_gb_max = VerificationOptions.verification_max_repo_size_gb
        return committed.repositories(cache_dir, size_gb_max=size_gb_max), repo, revision
    directory = Path(repo)
    if not (directory / "policy.py").is_file():
        raise Misused(f"{repo}: expected a directory with policy.py; `kinitro miner init` writes one to begin with")
    return directory.resolve()


def document(finding: Finding) -> dict[str, object]:
    """A finding as JSON values."""
    match finding:
        case Passed(compared):
            return {"verdict": "passed", "compared": compared.model_dump(mode="json")}
        case Failed(reason, detail, compared):
            differing = compared.model_dump(mode="json") if compared else None
            return {"verdict": "failed", "reason": reason.value, "detail": detail, "compared": differing}
        case Inconclusive(reason, detail):
            return {"verdict": "inconclusive", "reason": reason.value, "detail": detail}


def _show(finding: Finding, on: Console) -> None:
    if not isinstance(finding, Inconclusive) and finding.compared is not None:
        on.print(_table(finding.compared))
    match finding:
        case Passed(compared):
            on.print(Text(f"passed: {_how(compared)}", style="bold green"))
        case Failed(reason, detail):
            on.print(Text(f"failed ({reason.value}): {detail}", style="bold red"))
        case Inconclusive(reason, detail):
            on.print(Text(f"inconclusive ({reason.value}): {detail}", style="bold yellow"))


def _table(compared: ComparedActions) -> Table:
    table = Table("environment", "index", "step", "committed", "served", "error", "", box=None, padding=(0, 2, 0, 0))
    for each in compared.samples:
        error = "" if each.error is None else f"{each.error:.2g}"
        ended = Text("ok", style="green") if each.mismatch is None else Text(each.mismatch.value, style="bold red")
        table.add_row(each.env, str(each.index), str(each.step), *_actions(each), error, ended)
    return table


def _actions(sample: CheckedSample) -> tuple[str, str]:
    """The first repeat of each side; the others where they are compared are in `--json`."""
    one, two = (" ".join(f"{value:.3g}" for value in side[0]) for side in (sample.committed, sample.served))
    return one, two


def _how(compared: ComparedActions) -> str:
    if compared.method is Method.BY_DISTRIBUTION:
        repeats = len(compared.samples[0].served)
        return (
            f"{len(compared.samples)} samples, compared by distribution over {repeats} repeats"
            f" (p = {compared.p_value:.2g}): the committed code does not repeat itself"
        )
    seeded = ", seeded by the episode" if compared.seeded else ""
    return f"{len(compared.samples)} actions are those of the committed code{seeded}"
