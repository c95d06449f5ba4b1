"""The miners that the log knows: a fold of `evt.miner.>`."""

from __future__ import annotations

from dataclasses import dataclass

from events import subjects
from events.codec import decode
from events.envelope import RecordedEvent
from events.event import Event
from events.ids import Hotkey, Uid
from events.log import EventLog
from events.miners import (
    Commitment,
    MinerCommitmentChanged,
    MinerCommitmentRejected,
    MinerDeparted,
    MinerDiscovered,
)

MinerEvent = MinerDiscovered | MinerCommitmentChanged | MinerCommitmentRejected | MinerDeparted


@dataclass(frozen=True, slots=True)
class KnownMiner:
    """What the newest event of a hotkey says about it."""

    hotkey: Hotkey
    uid: Uid
    commitment: Commitment | None
    """None once it has departed, or its newest commitment was rejected: the chain holds no other any more."""
    rejected: MinerCommitmentRejected | None
    """Why it has none; None once it has departed."""
    recorded: RecordedEvent[Event]
    ordinal: int

    @property
    def present(self) -> bool:
        """Whether it holds its uid, with a commitment good or bad."""
        return self.commitment is not None or self.rejected is not None


class Registry:
    """All hotkeys that were ever seen, as of position `sequence` of the log."""

    def __init__(self) -> None:
        self.sequence = 0
        self.block = 0
        """The newest block at which anything changed."""
        self._known: dict[Hotkey, KnownMiner] = {}

    def get(self, hotkey: Hotkey) -> KnownMiner | None:
        return self._known.get(hotkey)

    def present(self) -> list[KnownMiner]:
        """Those that have not departed, by hotkey."""
        return sorted((miner for miner in self._known.values() if miner.present), key=lambda miner: miner.hotkey)

    def registered(self) -> list[KnownMiner]:
        """Those of them that have a valid commitment."""
        return [miner for miner in self.present() if miner.commitment is not None]

    def holders(self) -> list[KnownMiner]:
        """The registered, by uid, one for each.

        Two discoveries with different snapshots can give one uid to two hotkeys until the next poll: the later event
        holds it.
        """
        by_uid: dict[Uid, KnownMiner] = {}
        for miner in sorted(self.registered(), key=lambda miner: miner.recorded.sequence):
            by_uid[miner.uid] = miner
        return [by_uid[uid] for uid in sorted(by_uid)]

    def apply(self, recorded: RecordedEvent[Event]) -> None:
        """Takes in the next event; one seen before changes nothing."""
        if recorded.sequence <= self.sequence:
            return
        self.sequence = recorded.sequence
        event = recorded.event
        assert isinstance(event, MinerEvent), f"{recorded.subject} holds a {event.type}"
        before = self._known.get(event.hotkey)
        expected = 1 if before is None else before.ordinal + 1
        assert event.ordinal == expected, f"{recorded.subject} follows ordinal {expected - 1}"
        commitment = event.commitment if isinstance(event, MinerDiscovered | MinerCommitmentChanged) else None
        rejected = event if isinstance(event, MinerCommitmentRejected) else None
        self._known[event.hotkey] = KnownMiner(event.hotkey, event.uid, commitment, rejected, recorded, event.ordinal)
        self.block = max(self.block, event.block)

    async def catch_up(self, log: EventLog) -> None:
        """Folds what is new in the log.

        Raises:
            LogUnavailable: no answer in time.
        """
        async for batch in log.read(after=self.sequence, subject=subjects.MINERS):
            for stored in batch:
                self.apply(decode(stored))
