"""Where `kinitro top` has its events from: the log itself, or an API (`api_source.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from events import subjects
from events.codec import decode
from events.envelope import RecordedEvent
from events.event import Event
from events.ids import CycleId
from events.log import EventLog
from events.newest import newest_cycle
from events.top.watched import Snapshot

Piece = Snapshot | list[RecordedEvent[Event]]


class Source(Protocol):
    """Events from the newest cycle's plan on, or a snapshot and those after it."""

    @property
    def where(self) -> str: ...

    @property
    def connected(self) -> bool:
        """Whether it is now; if not, `follow` goes on as soon as it is again."""
        ...

    def follow(self) -> AsyncGenerator[Piece, None]:
        """Without an end, a gap or a doublet, whatever restarts meanwhile.

        Raises:
            ForPeople: it was never reached, or cannot be gone on with.
        """
        ...


class LogSource:
    """The log itself."""

    def __init__(self, log: EventLog, where: str, connected: Callable[[], bool]) -> None:
        self._log, self.where, self._connected = log, where, connected

    @property
    def connected(self) -> bool:
        return self._connected()

    async def follow(self) -> AsyncGenerator[Piece, None]:
        after = await self._log.last_sequence()  # first: a plan that comes after this look is followed anyway
        if cycle := await newest_cycle(self._log):
            if cycle > 1 and (weights := await self._log.last(subjects.weights(CycleId(cycle - 1)))):
                yield [decode(weights)]
            plan = await self._log.last(subjects.plan(cycle))
            assert plan is not None, "it is the newest that has one"
            after = plan.sequence - 1
        async for batch in self._log.follow(after=after):
            yield [decode(stored) for stored in batch]
