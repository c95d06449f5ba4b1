"""Facts about evaluation cycles: planned, seeded, and sealed or abandoned."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from events.event import Event, Hex256, HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId
from events.metagraph import ChainTerms
from events.miners import Commitment
from events.rules import ScoringRules
from events.variation import VariationRanges
from events.verification import VerificationTerms


class RosterEntry(Value):
    """One miner of a cycle, as known when it was planned."""

    uid: UidField
    hotkey: HotkeyField
    commitment: Commitment


class EpisodeTerms(Value):
    """The conditions under which every episode of a cycle is run."""

    observation_profile: Text
    """Name and version of what policies see, for example `rgb84/1`."""
    steps_max: Annotated[int, Field(ge=1, le=500)]
    act_deadline_ms: Annotated[int, Field(ge=1)]
    reset_deadline_ms: Annotated[int, Field(ge=1)]
    attempts_max: Annotated[int, Field(ge=1, le=100)]
    """How often we may fail (not the policy) before the episode is abandoned."""
    forfeits_in_row_max: Annotated[int, Field(ge=1)] | None
    """So many forfeits of a miner in a row, and its other episodes wait for a last chance. None: no limit."""
    variation: VariationRanges
    """What the seed of an episode may change in the simulation."""


class CyclePlanned(Event):
    """Everything that decides a cycle's result, fixed before the first policy is called.

    Of the seeds only a commitment: `secret_commitment` = SHA-256 of the 32-byte secret that the seal reveals.
    """

    type: ClassVar[str] = "kinitro.cycle.planned"
    schema_version: ClassVar[int] = 6
    cycle: Annotated[CycleId, Field(ge=1)]
    block: Annotated[int, Field(ge=0)]
    """To which the plan is pinned: the roster is as it was then. Of a chain, the number of a finalized one."""
    chain: ChainTerms | None
    """Which chain's. None where miners come from a roster file, and blocks from the clock."""
    roster: tuple[RosterEntry, ...]
    environments: tuple[EnvId, ...]
    episodes_per_environment: Annotated[int, Field(ge=1)]
    terms: EpisodeTerms
    rules: ScoringRules
    verification: VerificationTerms | None
    """Whose deployed policy is compared with the committed one. None: nobody's."""
    deadline_s: Annotated[int, Field(ge=1)]
    """Seconds after the plan's time at which episodes without an outcome are abandoned."""
    versions: dict[str, str]
    """Versions of everything that affects physics."""
    secret_commitment: Hex256

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for name, values in (
            ("uid", [entry.uid for entry in self.roster]),
            ("hotkey", [entry.hotkey for entry in self.roster]),
            ("environment", list(self.environments)),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"cycle {self.cycle} names one {name} twice: {sorted(map(str, values))}")
        return self

    @property
    def episodes_planned(self) -> int:
        return len(self.roster) * len(self.environments) * self.episodes_per_environment


class CycleSeeded(Event):
    """Public entropy from after the plan: the hash of a block that was finalized later."""

    type: ClassVar[str] = "kinitro.cycle.seeded"
    cycle: CycleId
    block: Annotated[int, Field(ge=0)]
    block_hash: Hex256


class OutcomeCounts(Value):
    """How the planned episodes of a cycle ended. They add up to the plan."""

    completed: Annotated[int, Field(ge=0)]
    forfeited: Annotated[int, Field(ge=0)]
    abandoned: Annotated[int, Field(ge=0)]


class CycleSealed(Event):
    """Every planned episode has an outcome; nothing that comes later counts.

    The tree covers the events of this cycle's subjects (`evt.cycle.<n>.>`) in log order with sequences from
    `first_sequence` to `last_sequence`, both included: `tree_size` leaves, each the exact bytes of one event.
    """

    type: ClassVar[str] = "kinitro.cycle.sealed"
    cycle: CycleId
    outcomes: OutcomeCounts
    first_sequence: Annotated[int, Field(ge=1)]
    last_sequence: Annotated[int, Field(ge=1)]
    tree_size: Annotated[int, Field(ge=1)]
    merkle_root: Hex256
    secret: Hex256


class CycleAbandonReason(StrEnum):
    """Why a whole cycle counts for nothing."""

    COVERAGE = "coverage"
    """Fewer episodes could be counted than the rules ask for."""


class CycleAbandoned(Event):
    """The cycle ended without a result; the last good weights stay. It takes the place of the seal."""

    type: ClassVar[str] = "kinitro.cycle.abandoned"
    cycle: CycleId
    reason: CycleAbandonReason
    detail: Text
    outcomes: OutcomeCounts
    secret: Hex256
