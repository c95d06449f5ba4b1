"""Waiting for events, but not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Self

from events.log import Stored


class Watch:
    """A live read of the log (`EventLog.follow`) that can be waited on with a time-out.

    An async iterator cannot simply be given one: what is cancelled in the middle of a read is lost. So the read goes
    on between two calls of `next`, at most one batch ahead.
    """

    def __init__(self, events: AsyncGenerator[list[Stored], None]) -> None:
        self._events = events
        self._reading: asyncio.Future[list[Stored]] | None = None

    async def next(self, timeout_s: float) -> list[Stored]:
        """The next batch; empty if none came in time.

        Raises:
            LogError: what the read raised.
        """
        if self._reading is None:
            self._reading = asyncio.ensure_future(anext(self._events))
        await asyncio.wait({self._reading}, timeout=timeout_s)
        if not self._reading.done():
            return []
        done, self._reading = self._reading, None
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

    def is_long(self) -> bool:
        now = self._clock()
        if now - self._since < self._limit_s:
            return False
        self._limit_s = min(self._limit_s * 2, self._first_s * 8)
        self._since = now
        return True
