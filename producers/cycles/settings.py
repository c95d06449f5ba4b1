"""What the operator decides about cycles."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from events.cycles import EpisodeTerms
from events.event import Text
from events.ids import EnvId, split_env_id
from events.rules import ScoringRules, UnitDecimal
from events.sealed import EndpointKey
from events.verification import SAMPLES_MAX, Measure, OnFailure, Suspension, VerificationTerms
from producers.cycles.master_key import KEY_BYTES

MAINNET = "finney"
STATE_PROFILE = "state/"
"""Observation profiles with the simulator's own state: every policy could cheat."""


class VerificationSettings(BaseModel):
    """How the miners of every planned cycle are checked; see `VerificationTerms`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rate: UnitDecimal
    tolerance: Annotated[Decimal, Field(gt=0, le=1, max_digits=18)]
    samples: Annotated[int, Field(ge=1, le=SAMPLES_MAX)]
    on_failure: OnFailure
    within_s: Annotated[int, Field(ge=1)]

    def terms(self, suspended: tuple[Suspension, ...]) -> VerificationTerms:
        """As they stand in a plan of whose miners these are suspended."""
        return VerificationTerms(**dict(self), measure=Measure.BY_CHANNEL, suspended=suspended)


class SchedulerSettings(BaseModel):
    """Validated once, passed down. Its representation and its errors do not show the master key."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    network: Annotated[Text, Field(min_length=1)]
    netuid: Annotated[int, Field(ge=0, le=65535)] | None = None
    """The subnet's number on its chain; None where miners come from a roster file, and blocks from the clock."""
    environments: Annotated[tuple[EnvId, ...], Field(min_length=1)]
    episodes_per_env: Annotated[int, Field(ge=1)]
    terms: EpisodeTerms
    rules: ScoringRules
    verification: VerificationSettings | None = None
    """None: no miner is checked."""
    deadline_s: Annotated[int, Field(ge=1)]
    """Seconds after the plan's time at which episodes without an outcome are abandoned."""
    eval_interval_s: Annotated[float, Field(ge=0)]
    """From plan to plan. A cycle that takes longer is followed by the next at once."""
    discovery_interval_s: Annotated[float, Field(gt=0)] = 12.0
    """Between looks at the source of miners; the default is the time of one block."""
    requeue_after_s: Annotated[float, Field(gt=0)] = 15.0
    """How long no outcome may come before episodes without one are queued again."""
    master_key: Annotated[bytes, Field(min_length=KEY_BYTES, repr=False)]
    endpoint_key: EndpointKey | None = None
    """Opens endpoints that miners have sealed; without one they are not evaluated."""
    versions: dict[str, str]
    """Versions of everything that affects physics, for the plan."""

    @field_validator("environments")
    @classmethod
    def _environments(cls, environments: tuple[EnvId, ...]) -> tuple[EnvId, ...]:
        for env in environments:
            split_env_id(env)
        if len(set(environments)) != len(environments):
            raise ValueError(f"an environment is named twice: {', '.join(sorted(environments))}")
        return environments

    @model_validator(mode="after")
    def _fair(self) -> Self:
        if reason := why_unfair(self.network, self.terms):
            raise ValueError(reason)
        return self


def why_unfair(network: str, terms: EpisodeTerms) -> str | None:
    """Why a cycle under these terms must not decide weights on this network; None if it may."""
    if network == MAINNET and terms.observation_profile.startswith(STATE_PROFILE):
        return (
            f"observation profile {terms.observation_profile!r} shows policies the simulator's state, and is refused"
            f" on network {MAINNET!r}; use a camera profile such as 'rgb84/1', or another network"
        )
    return None
