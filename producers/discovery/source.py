"""Where miners are read from: a roster file, a chain.

SourceTrouble       there is no snapshot to be had; what the log knows stays as it is
├── RosterRefused   (roster.py) the file is bad: file, line and reason
├── ChainTrouble    (metagraph.py, with its kinds) the chain cannot be read
└── StaleSnapshot   (discovery.py) the log knows a later block
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from events.for_people import ForPeople
from events.ids import Hotkey, Uid
from events.miners import Commitment
from producers.discovery.commitments import Rejection
from producers.discovery.metagraph import MetagraphSnapshot


class SourceTrouble(ForPeople):
    """The source has no snapshot now. The message says what is wrong and what to do; ask again later."""


@dataclass(frozen=True, slots=True)
class RegisteredMiner:
    """A hotkey that holds a uid and has a valid commitment."""

    hotkey: Hotkey
    uid: Uid
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class RejectedMiner:
    """A hotkey that holds a uid, whose commitment is not accepted."""

    hotkey: Hotkey
    uid: Uid
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All miners at one block. Who holds a uid and has committed nothing is no miner.

    Raises:
        ValueError: a hotkey or a uid stands there twice.
    """

    block: int
    miners: tuple[RegisteredMiner, ...]
    rejected: tuple[RejectedMiner, ...] = ()
    metagraph: MetagraphSnapshot | None = None
    """From which they were read; None where there is no chain."""

    def __post_init__(self) -> None:
        for name, values in (
            ("hotkey", [miner.hotkey for miner in self.everybody]),
            ("uid", [miner.uid for miner in self.everybody]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(
                    f"the snapshot at block {self.block} has one {name} twice: {sorted(map(str, values))}"
                )

    @property
    def everybody(self) -> list[RegisteredMiner | RejectedMiner]:
        """Whoever has committed anything."""
        return [*self.miners, *self.rejected]


class MinerSource(Protocol):
    """Who knows which miners there are."""

    async def snapshot(self) -> Snapshot:
        """All miners as they are now, whole or not at all.

        Raises:
            SourceTrouble: it cannot be had now, or is not to be trusted.
        """
        ...
