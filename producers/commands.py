"""`kinitro cycle list|show`, what `kinitro scheduler` runs, and the options that decide what a cycle is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from rich.table import Table

from events import display, subjects
from events.cli import LogOptions, Misused, open_log, options, run_once
from events.codec import decode, decode_as
from events.connection import Connection
from events.cycles import CyclePlanned, CycleSealed, EpisodeTerms
from events.display import CycleProgress, progress_view, result_view
from events.ids import CycleId, EnvId, split_env_id
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import EventLog, Stored
from events.rules import PointScheme, ScoringRules
from events.variation import PRESETS, STANDARD, VariationRanges
from events.weights import WeightsComputed, WeightsWithheld
from producers.blocks import ClockBlocks
from producers.crypto_commands import EndpointKeyOptions
from producers.cycles.master_key import read_or_create_master_key
from producers.cycles.scheduler import run_cycle_once, run_scheduler
from producers.cycles.settings import SchedulerSettings
from producers.discovery.roster import RosterSource, read_roster
from producers.progress import DiscoveryTrouble, LeftOut, Progress, Retrying

GENESIS = datetime(2026, 1, 1, tzinfo=UTC)
"""Block 0 of networks that have no chain."""

log = structlog.get_logger(__name__)

DEFAULT_ENVIRONMENTS = ",".join(
    f"metaworld/{task}-v3"
    for task in (
        "reach",
        "push",
        "pick-place",
        "door-open",
        "drawer-open",
        "drawer-close",
        "button-press-topdown",
        "peg-insert-side",
    )
)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is not a decimal number, as in 1.5") from error


OPTION_NAMES = {
    "points": "subset_points",
    "temperature": "pareto_temperature",
    "steps_max": "max_timesteps",
    "act_deadline_ms": "action_timeout_ms",
    "reset_deadline_ms": "reset_timeout_ms",
    "attempts_max": "attempts",
    "forfeits_in_row_max": "forfeits_in_row",
    "eval_interval_s": "eval_interval",
    "deadline_s": "cycle_deadline",
}
"""Where an option is called otherwise than the setting."""


def _told(error: ValidationError) -> str:
    """The first thing that is wrong, in terms of the options."""
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{reason}; correct the options"
    name = str(first["loc"][-1])
    return f"--{OPTION_NAMES.get(name, name).replace('_', '-')}: {reason}"


def _number(variable: str, help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        envvar=f"KINITRO_BACKEND_{variable}", parser=_decimal, metavar="<decimal>", help=help_text
    )
    return option


@dataclass(frozen=True)
class NetworkOptions(EndpointKeyOptions):
    """Which subnet this is about."""

    network: Annotated[
        str, typer.Option(envvar="KINITRO_BACKEND_NETWORK", help="Name or URL of the chain; `local` has none.")
    ] = "finney"
    netuid: Annotated[
        int | None, typer.Option(envvar="KINITRO_BACKEND_NETUID", min=0, max=65535, help="The subnet's number.")
    ] = None
    roster: Annotated[
        Path | None,
        typer.Option(envvar="KINITRO_BACKEND_ROSTER", help="TOML file of miners; followed while it changes."),
    ] = None


@dataclass(frozen=True)
class CycleOptions:
    """What every planned cycle is made of."""

    eval_interval: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_EVAL_INTERVAL_SECONDS", min=1, help="Seconds from plan to plan."),
    ] = 3600
    environments: Annotated[
        str, typer.Option(envvar="KINITRO_BACKEND_ENVIRONMENTS", help="Comma-separated, see `kinitro env list`.")
    ] = DEFAULT_ENVIRONMENTS
    episodes_per_env: Annotated[
        int, typer.Option(envvar="KINITRO_BACKEND_EPISODES_PER_ENV", min=1, help="Per miner.")
    ] = 50
    observation_profile: Annotated[
        str,
        typer.Option(envvar="KINITRO_BACKEND_OBSERVATION_PROFILE", help="What policies see."),
    ] = "rgb84/1"
    variation: Annotated[
        str,
        typer.Option(
            envvar="KINITRO_BACKEND_VARIATION", help=f"What seeds change beside placement: {', '.join(PRESETS)}."
        ),
    ] = STANDARD.name
    action_timeout_ms: Annotated[
        int, typer.Option(envvar="KINITRO_BACKEND_ACTION_TIMEOUT_MS", min=1, help="A policy's deadline for one act.")
    ] = 100
    reset_timeout_ms: Annotated[
        int, typer.Option(envvar="KINITRO_BACKEND_RESET_TIMEOUT_MS", min=1, help="A policy's deadline for a reset.")
    ] = 5000
    max_timesteps: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_MAX_TIMESTEPS_PER_EPISODE", min=1, max=500, help="Step limit."),
    ] = 500
    attempts: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_ATTEMPTS", min=1, max=100, help="How often we may fail at an episode."),
    ] = 3
    forfeits_in_row: Annotated[
        int,
        typer.Option(
            envvar="KINITRO_BACKEND_FORFEITS_IN_ROW",
            min=1,
            help="So many forfeits of a miner in a row, and its other episodes wait for a last chance at the end.",
        ),
    ] = 10
    cycle_deadline: Annotated[
        int,
        typer.Option(envvar="KINITRO_BACKEND_CYCLE_DEADLINE_SECONDS", min=1, help="Then a cycle is ended as it is."),
    ] = 6 * 3600
    master_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="KINITRO_BACKEND_MASTER_KEY_FILE",
            help="Key from which each cycle's secret is derived; made on first use in KINITRO_HOME when absent.",
        ),
    ] = None

    def environment_ids(self) -> tuple[EnvId, ...]:
        """The environments in the order given.

        Raises:
            Misused: one is not `family/task`.
        """
        ids = tuple(EnvId(part.strip()) for part in self.environments.split(",") if part.strip())
        try:
            for env in ids:
                split_env_id(env)
        except ValueError as error:
            raise Misused(f"--environments: {error}") from error
        if not ids:
            raise Misused("--environments names none; see `kinitro env list`")
        return ids

    def variation_ranges(self) -> VariationRanges:
        """The ranges of this name.

        Raises:
            Misused: there is none of it.
        """
        if ranges := PRESETS.get(self.variation):
            return ranges
        raise Misused(f"--variation: {self.variation!r} does not exist; there are {', '.join(PRESETS)}")

    def terms(self) -> EpisodeTerms:
        """The terms as they stand in the plan.

        Raises:
            Misused: the variation is unknown.
        """
        return EpisodeTerms(
            observation_profile=self.observation_profile,
            steps_max=self.max_timesteps,
            act_deadline_ms=self.action_timeout_ms,
            reset_deadline_ms=self.reset_timeout_ms,
            attempts_max=self.attempts,
            forfeits_in_row_max=self.forfeits_in_row,
            variation=self.variation_ranges(),
        )


@dataclass(frozen=True)
class ScoringOptions:
    """The parameters of the scoring rules; see `events/rules.py`."""

    pareto_temperature: Annotated[Decimal, _number("PARETO_TEMPERATURE", "Of the softmax over points.")] = Decimal(
        "1.0"
    )
    epsilon_factor: Annotated[Decimal, _number("EPSILON_FACTOR", "Epsilon per spread of the rates.")] = Decimal(2)
    epsilon_min: Annotated[Decimal, _number("EPSILON_MIN", "Least epsilon.")] = Decimal("0.01")
    epsilon_max: Annotated[Decimal, _number("EPSILON_MAX", "Greatest epsilon.")] = Decimal("0.20")
    threshold_z: Annotated[Decimal, _number("THRESHOLD_Z", "Standard errors to exceed.")] = Decimal("1.5")
    gap_min: Annotated[Decimal, _number("GAP_MIN", "Least gap to exceed.")] = Decimal("0.02")
    gap_max: Annotated[Decimal, _number("GAP_MAX", "Greatest gap to exceed.")] = Decimal("0.10")
    subset_points: Annotated[
        PointScheme, typer.Option(envvar="KINITRO_BACKEND_SUBSET_POINTS", help="What a won subset is worth.")
    ] = PointScheme.LINEAR
    coverage_min: Annotated[
        Decimal, _number("COVERAGE_MIN", "Share of episodes that must count, or the cycle is abandoned.")
    ] = Decimal("0.5")

    def rules(self) -> ScoringRules:
        """The rules as they stand in the plan.

        Raises:
            Misused: a value is out of range.
        """
        try:
            return ScoringRules(
                epsilon_factor=self.epsilon_factor,
                epsilon_min=self.epsilon_min,
                epsilon_max=self.epsilon_max,
                threshold_z=self.threshold_z,
                gap_min=self.gap_min,
                gap_max=self.gap_max,
                points=self.subset_points,
                temperature=self.pareto_temperature,
                coverage_min=self.coverage_min,
            )
        except ValidationError as error:
            raise Misused(_told(error)) from error


@dataclass(frozen=True)
class Scheduling:
    """Everything that decides what the scheduler does."""

    network: NetworkOptions
    cycles: CycleOptions
    scoring: ScoringOptions
    home: Path
    versions: dict[str, str]
    """Of everything that affects physics; the caller knows them, for producers do not import the simulator."""

    def settings(self) -> SchedulerSettings:
        """Validated, with the master key.

        Raises:
            Misused: options that do not fit together.
            SecretRefused: the key's file.
        """
        key = read_or_create_master_key(self.cycles.master_key_file or self.home / "master.key")
        try:
            return SchedulerSettings(
                network=self.network.network,
                environments=self.cycles.environment_ids(),
                episodes_per_env=self.cycles.episodes_per_env,
                terms=self.cycles.terms(),
                rules=self.scoring.rules(),
                deadline_s=self.cycles.cycle_deadline,
                eval_interval_s=self.cycles.eval_interval,
                master_key=key,
                endpoint_key=self.network.endpoint_key(self.home),
                versions=self.versions,
            )
        except ValidationError as error:
            raise Misused(_told(error)) from error

    def check(self) -> None:
        """What can be said before anything is started.

        Raises:
            Misused, SecretRefused, RosterRefused: an option, or the file that it names.
        """
        self.settings()
        read_roster(self.roster())

    def roster(self) -> Path:
        """The file of miners.

        Raises:
            Misused: none was given.
        """
        if self.network.roster is None:
            raise Misused(
                "no miners: name a roster file with --roster or KINITRO_BACKEND_ROSTER (its format is in the README)"
            )
        return self.network.roster


async def schedule(connection: Connection, scheduling: Scheduling, until_cycle: CycleId | None) -> None:
    """Discovers miners and conducts cycles: for ever, or until cycle number `until_cycle` has ended.

    Raises:
        Misused, SecretRefused: options.
        CycleError, LogError, QueueError, CodecError: as `run_scheduler`.
    """
    blocks = ClockBlocks(scheduling.network.network, GENESIS)
    roster = RosterSource(scheduling.roster(), blocks)
    events_log, queue, settings = JetStreamLog(connection), JetStreamQueue(connection), scheduling.settings()
    if until_cycle is None:
        await run_scheduler(
            log=events_log, queue=queue, blocks=blocks, miners=roster, settings=settings, report=_report
        )
    else:
        await run_cycle_once(
            until_cycle, log=events_log, queue=queue, blocks=blocks, miners=roster, settings=settings, report=_report
        )


def _report(progress: Progress) -> None:
    fields = {name: to_jsonable_python(getattr(progress, name)) for name in progress.__dataclass_fields__}
    tell = log.warning if isinstance(progress, DiscoveryTrouble | LeftOut | Retrying) else log.info
    tell(type(progress).__name__, **fields)


cycle = typer.Typer(help="Evaluation cycles.", no_args_is_help=True)


@cycle.command("list")
@options
def list_cycles(context: typer.Context, log: LogOptions) -> None:
    """List all cycles, newest first."""

    async def main() -> None:
        async with open_log(context.obj, log, "cycle list") as connection:
            events_log = JetStreamLog(connection)
            plans = [
                decode_as(CyclePlanned, stored)
                async for batch in events_log.read(subject=subjects.PLANS)
                for stored in batch
            ]
            table = Table(box=None, header_style="dim")
            for name in ("cycle", "planned", "miners", "environments", "episodes", "state"):
                table.add_column(name)
            for plan in reversed(plans):
                event = plan.event
                table.add_row(
                    str(event.cycle),
                    f"{plan.time:%Y-%m-%d %H:%M:%S}",
                    str(len(event.roster)),
                    str(len(event.environments)),
                    str(event.episodes_planned),
                    await _state_of(events_log, event.cycle),
                )
            display.console().print(table if plans else "no cycle yet; start one with `kinitro cycle run`")

    run_once(main)


@cycle.command("show")
@options
def show_cycle(
    context: typer.Context, log: LogOptions, number: Annotated[int, typer.Argument(min=1, help="The cycle.")]
) -> None:
    """Show one cycle: how far it is, and what came out."""

    async def main() -> None:
        async with open_log(context.obj, log, "cycle show") as connection:
            events_log, wanted, progress = JetStreamLog(connection), CycleId(number), CycleProgress()
            async for batch in events_log.read(subject=subjects.cycle(wanted)):
                for stored in batch:
                    progress.apply(decode(stored).event)
            if progress.plan is None:
                raise Misused(f"there is no cycle {number}; see `kinitro cycle list`")
            console = display.console()
            console.print(progress_view(progress))
            if (result := await result_of(events_log, wanted)) is not None:
                console.print(result_view(result))

    run_once(main)


async def result_of(events_log: EventLog, number: CycleId) -> WeightsComputed | WeightsWithheld | None:
    """What a cycle came to; None while it is not scored."""
    stored = await events_log.last(subjects.weights(number))
    return None if stored is None else scored_event(stored)


def scored_event(stored: Stored) -> WeightsComputed | WeightsWithheld:
    """The event at a subject that only these two can have."""
    event = decode(stored).event
    assert isinstance(event, WeightsComputed | WeightsWithheld), f"{stored.subject} holds a {event.type}"
    return event


async def _state_of(events_log: EventLog, number: CycleId) -> str:
    stored = await events_log.last(subjects.seal(number))
    if stored is None:
        return "running"
    if not isinstance(decode(stored).event, CycleSealed):
        return "abandoned"
    result = await result_of(events_log, number)
    if result is None:
        return "sealed"
    return "weights computed" if isinstance(result, WeightsComputed) else f"weights withheld ({result.reason})"
