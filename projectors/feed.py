"""The log as projectors read it: without a gap, and folded while the database still writes what came before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

from events.codec import CodecError
from events.event import Event
from events.log import EventLog, Stored
from projectors.arrival import Arrival, opened
from projectors.changes import Changes
from projectors.checkpoint import LogGap
from projectors.projector import Handler, Projection

TRANSACTION_EVENTS_MAX = 10_000
"""Not exact: a batch grows by slices."""
SLICE_EVENTS_MAX = 250
"""After so many the event loop gets its turn, to feed the database."""


class Batch:
    """Consecutive events, and what they change in each projection."""

    def __init__(self, positions: Mapping[Projection, int]) -> None:
        self.events: list[Stored] = []
        self._folds = {projection: _Fold(projection, position) for projection, position in positions.items()}
        self._routes: dict[type[Event], list[tuple[_Fold, Handler]]] = {}
        for projection, fold in self._folds.items():
            for kind, handler in projection.handlers.items():
                self._routes.setdefault(kind, []).append((fold, handler))

    def changes(self, projection: Projection) -> Changes | None:
        """Of the events that are new to this projection; None where one of them could not be folded."""
        return self._folds[projection].changes

    def add(self, part: Sequence[Stored]) -> None:
        self.events += part
        for stored in part:
            arrival = opened(stored)  # not kept: many live objects would keep the garbage collector busy
            if isinstance(arrival, CodecError):
                for fold in self._folds.values():
                    fold.miss(stored)
            else:
                for fold, handler in self._routes.get(arrival.kind, ()):
                    fold.take(handler, arrival)


class _Fold:
    def __init__(self, projection: Projection, position: int) -> None:
        self._concerns = projection.subjects.match
        self._position = position
        self.changes: Changes | None = Changes()

    def take(self, handler: Handler, arrival: Arrival) -> None:
        if self.changes is not None and arrival.stored.sequence > self._position:
            try:
                handler(arrival, self.changes)
            except Exception:  # noqa: BLE001 - the projector meets it again, alone, and says what it is
                self.changes = None

    def miss(self, stored: Stored) -> None:
        if stored.sequence > self._position and self._concerns(stored.subject):
            self.changes = None


class Feed:
    """Batches of consecutive events past a position. A task of its own reads and folds ahead of the database."""

    def __init__(self, source: AsyncIterator[list[Stored]], positions: Mapping[Projection, int]) -> None:
        self._positions = positions
        self._batch = Batch(positions)
        self._stirred, self._taken = asyncio.Event(), asyncio.Event()
        self._pump = asyncio.create_task(self._fill(source))
        self._pump.add_done_callback(lambda _: self._stirred.set())
        self.ended = False

    async def next(self, interrupt: asyncio.Event, *, timeout_s: float) -> Batch | None:
        """What has arrived; None if the log was read to its end (`ended`), or time ran out.

        Raises:
            LogGap: events are missing.
            LogError: the log failed.
        """
        if not self._batch.events and not self._pump.done():
            self._stirred.clear()
            await first_of(self._stirred, interrupt, timeout_s=timeout_s)
        if self._batch.events:
            batch, self._batch = self._batch, Batch(self._positions)
            self._taken.set()
            return batch
        if self._pump.done():
            self.ended = True
            await self._pump
        return None

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})

    async def _fill(self, source: AsyncIterator[list[Stored]]) -> None:
        position = min(self._positions.values())
        async for delivered in source:
            fresh = _consecutive(delivered, position)
            for start in range(0, len(fresh), SLICE_EVENTS_MAX):
                await self._room()
                self._batch.add(fresh[start : start + SLICE_EVENTS_MAX])
                self._stirred.set()
                await asyncio.sleep(0)
            position += len(fresh)

    async def _room(self) -> None:
        while len(self._batch.events) >= TRANSACTION_EVENTS_MAX:
            self._taken.clear()
            await self._taken.wait()


@asynccontextmanager
async def feeding(
    log: EventLog, positions: Mapping[Projection, int], *, follow: bool, last: int | None = None
) -> AsyncIterator[Feed]:
    """The events past the least of these positions, up to `last`: those that there are now, or those to come too."""
    after = min(positions.values())
    source = log.follow(after=after) if follow else log.read(after=after)
    feed = Feed(source if last is None else _up_to(last, source), positions)
    try:
        yield feed
    finally:
        await feed.close()


async def first_of(*events: asyncio.Event, timeout_s: float | None) -> None:
    """Returns when one of these is set, or after `timeout_s`; None waits as long as it takes."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _up_to(last: int, source: AsyncGenerator[list[Stored], None]) -> AsyncIterator[list[Stored]]:
    async with aclosing(source):
        async for batch in source:
            yield [stored for stored in batch if stored.sequence <= last]
            if batch[-1].sequence >= last:
                return


def _consecutive(delivered: Sequence[Stored], position: int) -> Sequence[Stored]:
    fresh = [stored for stored in delivered if stored.sequence > position]
    for expected, stored in enumerate(fresh, position + 1):
        if stored.sequence != expected:
            raise LogGap(f"the log delivered sequence {stored.sequence} where {expected} was expected")
    return fresh
