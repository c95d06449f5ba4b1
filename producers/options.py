"""The options that say which subnet this is about, and what every planned cycle is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from events.chain.link import ChainLink, shown
from events.cli import Misused
from events.cycles import EpisodeTerms
from events.ids import EnvId, split_env_id
from events.variation import PRESETS, STANDARD, VariationRanges
from producers.crypto_commands import EndpointKeyOptions

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
    "rate": "verification_rate",
    "tolerance": "verification_tolerance",
    "samples": "verification_samples",
    "within_s": "verification_within",
}
"""Where an option is called otherwise than the setting."""


def told(error: ValidationError) -> str:
    """The first thing that is wrong, in terms of the options."""
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{reason}; correct the options"
    name = str(first["loc"][-1])
    return f"--{OPTION_NAMES.get(name, name).replace('_', '-')}: {reason}"


ENDPOINTS = {
    "finney": "wss://entrypoint-finney.opentensor.ai:443",
    "test": "wss://test.finney.opentensor.ai:443",
    "local": "ws://127.0.0.1:9944",
}
"""A public node of each known network, and where one's own is on this machine."""


@dataclass(frozen=True)
class ChainPlace:
    """A subnet, and the nodes through which it is read."""

    endpoints: tuple[str, ...]
    netuid: int


@dataclass(frozen=True)
class NetworkOptions(EndpointKeyOptions):
    """Which subnet this is about."""

    network: Annotated[
        str,
        typer.Option(envvar="KINITRO_BACKEND_NETWORK", help=f"Its chain: {', '.join(ENDPOINTS)}, or another name."),
    ] = "finney"
    chain_endpoint: Annotated[
        list[str] | None,
        typer.Option(
            envvar="KINITRO_BACKEND_CHAIN_ENDPOINT",
            help="Node of the chain, ws:// or wss://, in place of the network's; several are used in turn.",
        ),
    ] = None
    netuid: Annotated[
        int | None, typer.Option(envvar="KINITRO_BACKEND_NETUID", min=0, max=65535, help="The subnet's number.")
    ] = None
    roster: Annotated[
        Path | None,
        typer.Option(envvar="KINITRO_BACKEND_ROSTER", help="TOML file of miners, in place of a chain; followed."),
    ] = None

    def place(self) -> Path | ChainPlace:
        """Where miners come from: a roster file, or a chain.

        Raises:
            Misused: neither was named, or both, or half of one.
        """
        if self.roster is not None:
            if self.chain_endpoint:
                node = shown(self.chain_endpoint[0])
                raise Misused(
                    f"miners come from a roster ({self.roster}) or from a chain ({node}), not from both: leave out"
                    " --roster or --chain-endpoint (KINITRO_BACKEND_ROSTER, KINITRO_BACKEND_CHAIN_ENDPOINT)"
                )
            return self.roster
        if self.netuid is None:
            raise Misused(
                "no miners: name a roster file with --roster or KINITRO_BACKEND_ROSTER (its format is in the"
                " README), or a subnet of a chain with --netuid or KINITRO_BACKEND_NETUID"
            )
        return ChainPlace(self._endpoints(), self.netuid)

    def _endpoints(self) -> tuple[str, ...]:
        known = [ENDPOINTS[self.network]] if self.network in ENDPOINTS else []
        endpoints = self.chain_endpoint or known
        if not endpoints:
            raise Misused(
                f"--network {self.network}: none of {', '.join(ENDPOINTS)}, whose nodes are known; name a node with"
                " --chain-endpoint or KINITRO_BACKEND_CHAIN_ENDPOINT"
            )
        try:
            ChainLink(endpoints)
        except ValueError as error:
            raise Misused(f"--chain-endpoint: {error}") from error
        return tuple(endpoints)


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
