"""The subnet of a cycle, as the chain had it when the cycle was planned, and who was gone when it ended."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from events.event import Event, Hex256, HotkeyField, Text, UidField, Value
from events.ids import CycleId, Hotkey, Uid

SEED_DELAY_BLOCKS = 10
"""How many blocks after that of the plan the one comes whose hash gives the seeds.

A block is finalized a few blocks after it was made, so the hashes of those right after the plan's are known already
when the plan is made; this one's is not, for no cycle is planned while the chain is that far ahead.
"""

Netuid = Annotated[int, Field(ge=0, le=65535)]


class ChainTerms(Value):
    """Which subnet of which chain a cycle is about."""

    genesis: Hex256
    """The hash of block 0: it tells one chain from all others."""
    netuid: Netuid
    block_hash: Hex256
    """Of the finalized block to which the plan is pinned."""


class RecordedNeuron(Value):
    """Who held a uid."""

    uid: UidField
    hotkey: HotkeyField
    coldkey: Text
    stake_rao: Annotated[int, Field(ge=0, lt=2**64)]
    """Its whole stake in the subnet: 10^9 rao are one unit."""
    registered_at_block: Annotated[int, Field(ge=0)]


class MetagraphRecorded(Event):
    """All neurons of the subnet at the plan's block, by uid. It stands in the log right after the plan.

    Anyone with an archive node can read the same there. The roster follows from it: each miner of the plan holds its
    uid here.
    """

    type: ClassVar[str] = "kinitro.cycle.metagraph"
    cycle: CycleId
    netuid: Netuid
    block: Annotated[int, Field(ge=0)]
    block_hash: Hex256
    neurons: tuple[RecordedNeuron, ...]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        uids = [neuron.uid for neuron in self.neurons]
        if uids != sorted(set(uids)):
            raise ValueError(f"the metagraph of cycle {self.cycle} has uids that do not rise: {uids}")
        if len({neuron.hotkey for neuron in self.neurons}) != len(self.neurons):
            raise ValueError(f"the metagraph of cycle {self.cycle} gives one hotkey two uids")
        return self

    def holders(self) -> dict[Uid, Hotkey]:
        """Who held each uid."""
        return {neuron.uid: neuron.hotkey for neuron in self.neurons}


class SlotsChecked(Event):
    """Who of the plan's miners no longer held its uid when all outcomes were there: the weights leave them out.

    It stands under the cycle's root, before the seal. A cycle in which the chain could not be read then has none.
    Anyone with an archive node can compare the plan's roster with the subnet at this block.
    """

    type: ClassVar[str] = "kinitro.cycle.slots"
    cycle: CycleId
    netuid: Netuid
    block: Annotated[int, Field(ge=0)]
    """A finalized one, later than the plan's."""
    block_hash: Hex256
    moved: tuple[UidField, ...]
    """The uids of the plan that another hotkey holds now, or nobody; rising."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.moved) != sorted(set(self.moved)):
            raise ValueError(f"the slots of cycle {self.cycle} have uids that do not rise: {list(self.moved)}")
        return self
