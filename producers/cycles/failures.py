"""Which miners have failed a spot check, and not passed one since: a fold of all cycles' verifications."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from events import subjects
from events.codec import decode
from events.cycles import RosterEntry
from events.ids import CycleId, Hotkey
from events.log import EventLog, Stored
from events.verification import Suspension, VerificationFailed, VerificationPassed


class Failures:
    """By hotkey, as of position `sequence` of the log: who leaves the subnet and comes back has still failed.

    The latest conclusive outcome counts; one that is inconclusive changes nothing.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self._failed_in: dict[Hotkey, CycleId] = {}

    def apply(self, stored: Stored) -> None:
        """Takes in the next event; one seen before changes nothing.

        Raises:
            CodecError: it cannot be read.
        """
        if stored.sequence <= self.sequence:
            return
        event = decode(stored).event
        self.sequence = stored.sequence
        match event:
            case VerificationFailed():
                self._failed_in[event.hotkey] = event.cycle
            case VerificationPassed():
                self._failed_in.pop(event.hotkey, None)

    async def catch_up(self, log: EventLog) -> None:
        """Folds what is new in the log. The first time that is all of it, so it is read in a thread.

        Raises:
            LogUnavailable: no answer in time.
            CodecError: as `apply`.
        """
        async for batch in log.read(after=self.sequence, subject=subjects.VERIFICATIONS):
            await asyncio.to_thread(self._apply_all, batch)

    def suspended(self, roster: Iterable[RosterEntry]) -> tuple[Suspension, ...]:
        """Those of a plan's roster, by uid."""
        found = ((entry.uid, self._failed_in.get(entry.hotkey)) for entry in roster)
        failed = sorted((uid, cycle) for uid, cycle in found if cycle is not None)
        return tuple(Suspension(uid=uid, failed_in=cycle) for uid, cycle in failed)

    def _apply_all(self, batch: list[Stored]) -> None:
        for stored in batch:
            self.apply(stored)
