"""Whether the chain can be read, as a fact in the log: appended when trouble begins and when it ends."""

from __future__ import annotations

from events import subjects
from events.chain.trouble import (
    ChainTrouble,
    NoConnection,
    NodeRefused,
    NoSubnet,
    OtherChain,
    Reorganised,
    RuntimeUnsuited,
    StatePruned,
)
from events.codec import decode, draft
from events.discovery import DegradedCode, DiscoveryDegraded, DiscoveryRestored
from events.envelope import Clock, Envelope, RecordedEvent, begin, utc_now
from events.event import TEXT_MAX, Event
from events.log import EventLog
from producers.discovery.discovery import SOURCE, StaleSnapshot

CODES: dict[type[Exception], DegradedCode] = {
    NoConnection: DegradedCode.NO_CONNECTION,
    StatePruned: DegradedCode.STATE_PRUNED,
    Reorganised: DegradedCode.REORGANISED,
    RuntimeUnsuited: DegradedCode.RUNTIME_UNSUITED,
    NodeRefused: DegradedCode.NODE_REFUSED,
    NoSubnet: DegradedCode.NO_SUBNET,
    OtherChain: DegradedCode.OTHER_CHAIN,
    StaleSnapshot: DegradedCode.STALE,
}


class Condition:
    """What one discovery knows of its own trouble. Any number may write to one log.

    Each tells of its own trouble once, and whoever can read the chain ends what the log says, whoever began it: where
    some can read and others cannot, the log does not grow with every look.
    """

    def __init__(self, log: EventLog, *, clock: Clock = utc_now) -> None:
        self._log = log
        self._clock = clock
        self._in_trouble = self._is_behind = False
        self._newest: RecordedEvent[Event] | None = None

    async def degraded(self, trouble: ChainTrouble | StaleSnapshot) -> None:
        """The chain cannot be read.

        Raises:
            Conflict, LogUnavailable: it could not be told; tell it again at the next look.
        """
        was_behind, self._is_behind = self._is_behind, isinstance(trouble, StaleSnapshot)
        if self._in_trouble or (self._is_behind and not was_behind):
            return  # once is no trouble: another discovery has seen the next block a moment earlier
        await self._catch_up()
        if not self._is_degraded:
            detail = str(trouble).replace("\x00", "")[:TEXT_MAX]
            await self._append(DiscoveryDegraded(ordinal=self._next, code=CODES[type(trouble)], detail=detail))
        self._in_trouble = True

    async def good(self, block: int) -> None:
        """The chain was read at this finalized block.

        Raises:
            Conflict, LogUnavailable: it could not be told; tell it again at the next look.
        """
        await self._catch_up()
        if self._is_degraded:
            await self._append(DiscoveryRestored(ordinal=self._next, block=block))
        self._in_trouble = self._is_behind = False

    @property
    def _is_degraded(self) -> bool:
        return self._newest is not None and isinstance(self._newest.event, DiscoveryDegraded)

    @property
    def _next(self) -> int:
        newest = self._newest.event if self._newest else None
        return newest.ordinal + 1 if isinstance(newest, DiscoveryDegraded | DiscoveryRestored) else 1

    async def _catch_up(self) -> None:
        after = self._newest.sequence if self._newest else 0
        async for batch in self._log.read(after=after, subject=subjects.DISCOVERY):
            self._newest = decode(batch[-1])

    async def _append(self, event: DiscoveryDegraded | DiscoveryRestored) -> None:
        envelope: Envelope[Event]
        if isinstance(event, DiscoveryRestored) and self._newest is not None:
            envelope = self._newest.envelope.follow(event, source=SOURCE, time=self._clock())
        else:
            envelope = begin(event, source=SOURCE, time=self._clock())
        await self._log.append([draft(envelope)])
