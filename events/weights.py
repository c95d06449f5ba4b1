"""Facts about weights: computed from a sealed cycle, or withheld."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from events.event import Event, HotkeyField, Text, UidField, Value
from events.ids import CycleId, EnvId

DecimalText = Annotated[str, Field(pattern=r"^\d+(\.\d+)?$")]
"""A non-negative decimal as text. Nothing that validators sign is a binary float."""


class EnvironmentTally(Value):
    """How the planned episodes of one miner on one environment ended. Counted: completed + forfeited."""

    completed: Annotated[int, Field(ge=0)]
    successful: Annotated[int, Field(ge=0)]
    """Of the completed."""
    forfeited: Annotated[int, Field(ge=0)]
    abandoned: Annotated[int, Field(ge=0)]


class MinerStanding(Value):
    """One miner's result in a cycle."""

    uid: UidField
    hotkey: HotkeyField
    tallies: dict[EnvId, EnvironmentTally]
    on_frontier: bool
    points: DecimalText
    """An exact integer; as text because it may pass 2^53."""
    weight: DecimalText
    moved: Annotated[bool, Field(exclude_if=lambda moved: not moved)] = False
    """It no longer held its uid when the cycle ended (`SlotsChecked`), so it has no weight, whatever its points."""

    unverified: Annotated[bool, Field(exclude_if=lambda unverified: not unverified)] = False
    """It failed a spot check, and none has passed since (`events.verification`), so it has no weight either."""

    def written(self) -> dict[str, object]:
        """Without what it did not do: so it was written before that was asked, and so it is read."""
        left_out = {name for name in ("moved", "unverified") if not getattr(self, name)}
        return {name: value for name, value in self.__dict__.items() if name not in left_out}


class WeightsU16(Value):
    """The weights as the chain takes them: largest remainder, adding up to 65535."""

    uids: tuple[UidField, ...]
    values: tuple[Annotated[int, Field(ge=0, le=65535)], ...]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.uids) != len(self.values):
            raise ValueError(f"{len(self.uids)} uids with {len(self.values)} values")
        return self


class _ScoredCycle(Event):
    cycle: CycleId
    block: Annotated[int, Field(ge=0)]
    """The block of the plan."""
    merkle_root: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the sealed cycle from which all of this follows."""
    epsilons: dict[EnvId, DecimalText]
    standings: tuple[MinerStanding, ...]
    """In the order of the plan's roster."""


class WeightsComputed(_ScoredCycle):
    """The weights by which miners are paid, with the standings they follow from."""

    type: ClassVar[str] = "kinitro.weights.computed"
    weights_u16: WeightsU16


class WithheldReason(StrEnum):
    """Why a sealed cycle gives no weights."""

    NO_POINTS = "no_points"
    """No miner won any subset of environments."""
    SLOTS_MOVED = "slots_moved"
    """No miner with points still held its uid when the cycle ended."""
    UNVERIFIED = "unverified"
    """Of the miners with points, each has failed a spot check, or no longer held its uid; and one failed at least."""
    NO_MINERS = "no_miners"
    CYCLE_ABANDONED = "cycle_abandoned"


class WeightsWithheld(Event):
    """The cycle gives no weights; the last good ones stay. Weights are never invented."""

    type: ClassVar[str] = "kinitro.weights.withheld"
    cycle: CycleId
    block: Annotated[int, Field(ge=0)]
    reason: WithheldReason
    detail: Text
    epsilons: dict[EnvId, DecimalText]
    standings: tuple[MinerStanding, ...]
    """Empty where the cycle was abandoned."""
