"""`kinitro scheduler` and `kinitro cycle list|show`, and the settings that decide what a cycle is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from events.cli import Misused
from events.cycles import EpisodeTerms
from events.ids import EnvId, split_env_id
from events.rules import PointScheme, ScoringRules

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


def _number(variable: str, help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        envvar=f"KINITRO_BACKEND_{variable}", parser=_decimal, metavar="<decimal>", help=help_text
    )
    return option


@dataclass(frozen=True)
class NetworkSettings:
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
class CycleSettings:
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

    def terms(self) -> EpisodeTerms:
        return EpisodeTerms(
            observation_profile=self.observation_profile,
            steps_max=self.max_timesteps,
            act_deadline_ms=self.action_timeout_ms,
            reset_deadline_ms=self.reset_timeout_ms,
            attempts_max=self.attempts,
        )


@dataclass(frozen=True)
class ScoringSettings:
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
            first = error.errors()[0]
            name = "-".join(str(part) for part in first["loc"]).replace("_", "-") or "scoring rules"
            raise Misused(f"--{name}: {first['msg']} (given: {first['input']})") from error
