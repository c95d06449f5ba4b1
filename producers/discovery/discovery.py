"""Discovery: compares a source of miners with the log, and appends exactly what changed."""

from __future__ import annotations

from collections.abc import Sequence

from events.codec import draft
from events.envelope import Clock, Envelope, begin, utc_now
from events.event import Event
from events.ids import Hotkey
from events.log import BATCH_MAX, Conflict, EventLog, LogUnavailable
from events.sealed import EndpointKey
from producers.discovery.diff import changes, judged
from producers.discovery.registry import MinerEvent, Registry
from producers.discovery.source import MinerSource, Snapshot, SourceTrouble
from producers.retry import retried

SOURCE = "/kinitro/discovery"
RETRY_S = 30.0
"""How long one poll looks at the log again before it gives up."""


class StaleSnapshot(SourceTrouble):
    """The log knows a later block: somebody else has seen more, or blocks are counted from another genesis."""


class Discovery:
    """Any number of them may run at once: a fact that one has appended, no other appends again."""

    def __init__(
        self, source: MinerSource, log: EventLog, *, key: EndpointKey | None = None, clock: Clock = utc_now
    ) -> None:
        """`key` opens sealed endpoints; without one, nobody is rejected for an endpoint that cannot be opened.

        All discoveries of one log need the same key: two would undo each other's rejections.
        """
        self._source = source
        self._log = log
        self._key = key
        self._clock = clock
        self._registry = Registry()
        self.snapshot: Snapshot | None = None
        """The newest that the log has taken in."""

    async def poll(self) -> list[MinerEvent]:
        """Looks once, and returns what it appended. Safe to repeat whatever it raised.

        Raises:
            SourceTrouble: there is no good snapshot; nothing was appended.
            Conflict: others kept changing the same miners for `TRIES_MAX` tries.
            LogUnavailable: the log did not answer for as many.
        """
        snapshot = await self._source.snapshot()
        # Somebody was first, or our own append may yet have been stored: the log says which, at the next try.
        new = await retried(lambda: self._record(snapshot), (Conflict, LogUnavailable), limit_s=RETRY_S)
        self.snapshot = snapshot
        return new

    async def _record(self, snapshot: Snapshot) -> list[MinerEvent]:
        await self._registry.catch_up(self._log)
        new = changes(self._registry, judged(snapshot, self._registry, self._key))
        is_behind = snapshot.block < self._registry.block
        if is_behind and (new or snapshot.metagraph is not None):
            raise StaleSnapshot(
                f"miners were read at block {snapshot.block}, the log knows changes at block {self._registry.block};"
                " if this stays so, the node is behind, or the log was written with other blocks: check network, node"
                " and clock"
            )
        drafts = [draft(envelope) for envelope in self._envelopes(new)]
        for start in range(0, len(drafts), BATCH_MAX):
            await self._log.append(drafts[start : start + BATCH_MAX])
        return new

    def _envelopes(self, new: Sequence[MinerEvent]) -> list[Envelope[Event]]:
        """Each follows the event before it in its hotkey's life; the first begins the story."""
        newest: dict[Hotkey, Envelope[Event]] = {}
        envelopes: list[Envelope[Event]] = []
        for event in new:
            known = self._registry.get(event.hotkey)
            cause = newest.get(event.hotkey, None if known is None else known.recorded.envelope)
            envelope: Envelope[Event] = (
                begin(event, source=SOURCE, time=self._clock())
                if cause is None
                else cause.follow(event, source=SOURCE, time=self._clock())
            )
            newest[event.hotkey] = envelope
            envelopes.append(envelope)
        return envelopes
