"""Waiting for events, but not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Self

from events.log import Stored
from producers.clock import Sleep

BEAT_S = 0.05
"""How far apart batches are in the long run, at least. What one costs its reader is mostly the same for one event as
for a hundred, and of 1,000 events a second each would come by itself."""

AT_ONCE = 50
"""How many batches may follow each other without a pause after a time of rest."""


class Watch:
    """A live read of the log (`EventLog.follow`) that can be waited on with a time-out.

    An async iterator cannot simply be given one: what is cancelled in the middle of a read is lost. So the read goes
    on between two calls of `next`, at most one batch ahead.
    """

    def __init__(
        self,
        events: AsyncGenerator[list[Stored], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._events = events
        self._clock = clock
        self._sleep = sleep
        self._reading: asyncio.Future[list[Stored]] | None = None
        self._due_s = clock()
        """When the next batch is due, had all so far come a beat apart."""

    async def next(self, timeout_s: float) -> list[Stored]:
        """The next batch; empty if none came in time. After many in quick succession it gathers for a while first.

        Who has no time, `timeout_s` being 0, gets at once what there is.

        Raises:
            LogError: what the read raised.
        """
        if (gathers_s := min(self._due_s - AT_ONCE * BEAT_S - self._clock(), timeout_s)) > 0:
            await self._sleep(gathers_s)
        if self._reading is None:
            self._reading = asyncio.ensure_future(anext(self._events))
        await asyncio.wait({self._reading}, timeout=timeout_s)
        if not self._reading.done():
            return []
        done, self._reading = self._reading, None
        now = self._clock()  # who had no time to wait a beat need not make up for it
        self._due_s = min(max(self._due_s, now), now + AT_ONCE * BEAT_S) + BEAT_S
        return done.result()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
            if not self._reading.cancelled():
                self._reading.exception()  # seen here, or asyncio would complain that nobody did
        await self._events.aclose()


class Silence:
    """How long nothing has come. Each time that it was long, it must be twice as long the next time, up to 8 times.

    What is done about silence cannot help more often than that, where its cause is elsewhere: no worker runs.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first_s = limit_s
        self._clock = clock
        self.broken()

    def broken(self) -> None:
        """Something came."""
        self._limit_s = self._first_s
        self._since = self._clock()

    def put_off(self) -> None:
        """It counts from now on, for as long as before: there was something to be done meanwhile."""
        self._since = self._clock()

    def is_long(self) -> bool:
        now = self._clock()
        if now - self._since < self._limit_s:
            return False
        self._limit_s = min(self._limit_s * 2, self._first_s * 8)
        self._since = now
        return True
