"""Which weight files were seen in the spot checks of earlier cycles, and who had each first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, NamedTuple, cast

from consumers.scoring.copies import Holder, digests_of
from events import subjects
from events.codec import decode, decode_as
from events.cycles import CyclePlanned
from events.ids import CycleId, Hotkey, Uid
from events.log import EventLog
from events.verification import VerificationOutcome


class _Seen(NamedTuple):
    cycle: CycleId
    uid: Uid


class KnownFiles:
    """A fold of all spot checks in the log: it grows with the different files and their committers, not with cycles.

    It is read as far as it is asked for, and each check once.
    """

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._position = 0
        self._seen: defaultdict[str, dict[Hotkey, _Seen]] = defaultdict(dict)
        """By digest: in which check each committer was first seen with it, so of its earliest commitment."""

    async def before(self, cycle: CycleId, sequence: int, digests: Iterable[str]) -> dict[str, Holder]:
        """Of those files that were seen in checks before this cycle and this sequence: the earliest committer.

        Raises:
            CodecError: an event cannot be read.
            LogUnavailable: no answer in time.
        """
        wanted = sorted(set(digests))
        if not wanted:
            return {}
        await self._read_until(sequence)
        found: dict[str, Holder] = {}
        for digest in wanted:
            seen = self._seen.get(digest, {}).items()
            holders = [await self._holder(hotkey, it) for hotkey, it in seen if it.cycle < cycle]
            if holders:
                found[digest] = min(holders)
        return found

    async def _read_until(self, sequence: int) -> None:
        batches = self._events.read(after=self._position, subject=subjects.VERIFICATIONS)
        async with aclosing(cast("Any", batches)):
            async for batch in batches:
                for stored in batch:
                    if stored.sequence >= sequence:
                        return
                    self._take(cast("VerificationOutcome", decode(stored).event))
                    self._position = stored.sequence

    def _take(self, check: VerificationOutcome) -> None:
        for digest in digests_of(check):
            self._seen[digest].setdefault(check.hotkey, _Seen(check.cycle, check.uid))

    async def _holder(self, hotkey: Hotkey, seen: _Seen) -> Holder:
        stored = await self._events.last(subjects.plan(seen.cycle))
        assert stored is not None, f"cycle {seen.cycle} has checks, and no plan"
        roster = decode_as(CyclePlanned, stored).event.roster
        block = next(it.commitment.block for it in roster if it.uid == seen.uid)
        return Holder(block, seen.uid, hotkey, seen.cycle)
