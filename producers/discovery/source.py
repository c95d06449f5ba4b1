"""Where miners are read from: a roster file, a chain.

SourceTrouble       there is no snapshot to be had; what the log knows stays as it is
├── RosterRefused   (roster.py) the file is bad: file, line and reason
└── StaleSnapshot   (discovery.py) the log knows a later block
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from events.for_people import ForPeople
from events.ids import Hotkey, Uid
from events.miners import Commitment


class SourceTrouble(ForPeople):
    """The source has no snapshot now. The message says what is wrong and what to do; ask again later."""


@dataclass(frozen=True, slots=True)
class RegisteredMiner:
    """A hotkey that holds a uid and has a valid commitment."""

    hotkey: Hotkey
    uid: Uid
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All miners at one block.

    Raises:
        ValueError: a hotkey or a uid stands there twice.
    """

    block: int
    miners: tuple[RegisteredMiner, ...]

    def __post_init__(self) -> None:
        for name, values in (
            ("hotkey", [miner.hotkey for miner in self.miners]),
            ("uid", [miner.uid for miner in self.miners]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(
                    f"the snapshot at block {self.block} has one {name} twice: {sorted(map(str, values))}"
                )


class MinerSource(Protocol):
    """Who knows which miners there are."""

    async def snapshot(self) -> Snapshot:
        """All miners as they are now, whole or not at all.

        Raises:
            SourceTrouble: it cannot be had now, or is not to be trusted.
        """
        ...
