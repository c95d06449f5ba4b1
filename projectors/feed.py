"""The log as projectors read it: from a position, without a gap, a few batches ahead of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.log import EventLog, Stored
from projectors.checkpoint import ProjectionError

TRANSACTION_EVENTS_MAX = 5_000
PREFETCHED_BATCHES_MAX = 4


class LogGap(ProjectionError):
    """The log delivered events that do not follow each other; the position is read again."""


class Feed:
    """Consecutive events past a position. A task of its own reads ahead while the database writes."""

    def __init__(self, source: AsyncIterator[list[Stored]], *, after: int) -> None:
        self._queue: asyncio.Queue[list[Stored]] = asyncio.Queue(PREFETCHED_BATCHES_MAX)
        self._stirred = asyncio.Event()
        self._pump = asyncio.create_task(self._fill(source, after))
        self._pump.add_done_callback(lambda _: self._stirred.set())
        self.ended = False

    async def next(self, interrupt: asyncio.Event, *, timeout_s: float) -> list[Stored]:
        """What has arrived: at least one event, unless the log was read to its end (`ended`), or time ran out.

        Raises:
            LogGap: events are missing.
            LogError: the log failed.
        """
        if self._queue.empty() and not self._pump.done():
            self._stirred.clear()
            await first_of(self._stirred, interrupt, timeout_s=timeout_s)
        arrived: list[Stored] = []
        while not self._queue.empty() and len(arrived) < TRANSACTION_EVENTS_MAX:
            arrived += self._queue.get_nowait()
        if not arrived and self._pump.done():
            self.ended = True
            await self._pump
        return arrived

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})

    async def _fill(self, source: AsyncIterator[list[Stored]], after: int) -> None:
        position = after
        async for batch in source:
            if fresh := _consecutive(batch, position):
                position = fresh[-1].sequence
                await self._queue.put(fresh)
                self._stirred.set()


@asynccontextmanager
async def feeding(log: EventLog, *, after: int, follow: bool) -> AsyncIterator[Feed]:
    """The events past `after`: those that there are now, or those to come as well."""
    feed = Feed(log.follow(after=after) if follow else log.read(after=after), after=after)
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


def _consecutive(batch: list[Stored], position: int) -> list[Stored]:
    fresh = [stored for stored in batch if stored.sequence > position]
    for expected, stored in enumerate(fresh, position + 1):
        if stored.sequence != expected:
            raise LogGap(f"the log delivered sequence {stored.sequence} where {expected} was expected")
    return fresh
