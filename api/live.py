"""Running episodes, as workers tell of them (`events.live`), handed to all who look at them through this process.

However many look at an episode, NATS has one subscription and one wish of ours. What a reader does not take in time
is replaced by what is newer: this is to look at, the outcome is in the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from prometheus_client import Gauge

from api.problems import Problem
from api.sources import LogWatch
from events import frames, live, subjects
from events.connection import Connection, NoAnswer
from events.ids import EpisodeKey
from events.log import LogUnavailable

READERS_MAX = 500
"""Of all episodes together, in this process."""
KEPT_MAX = 16
"""Steps that wait for a reader."""


class Reader:
    """Somebody who looks at one episode."""

    def __init__(self, *, with_frames: bool) -> None:
        self.with_frames = with_frames
        self._steps: deque[bytes] = deque(maxlen=KEPT_MAX)
        self._news = asyncio.Event()
        self.has_outcome = False
        """Whether the episode has ended."""
        self._closed = False

    def take(self, step: bytes) -> None:
        self._steps.append(step)
        self._news.set()

    def close(self, *, has_outcome: bool) -> None:
        self._closed, self.has_outcome = True, has_outcome
        self._news.set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes: the episode has its outcome, or this process ends."""
        return self._closed and not self._steps

    async def next(self, timeout_s: float) -> bytes | None:
        """A step as JSON; None when time has run out, or it `is_over`."""
        if not self._steps and not self._closed:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
        return self._steps.popleft() if self._steps else None


class LiveEpisodes:
    """All that is looked at through this process."""

    def __init__(self, log: LogWatch, readers: Gauge) -> None:
        """`readers` is kept at their number."""
        self._log = log
        self._looked_at: dict[EpisodeKey, _LookedAt] = {}
        self._readers = 0
        self._gauge = readers

    def stop(self) -> None:
        """Ends what everybody reads."""
        for looked_at in self._looked_at.values():
            looked_at.end(has_outcome=False)

    def check_room(self) -> None:
        """To be called before `reading`.

        Raises:
            Problem: too many are reading.
            LogUnavailable: not connected to NATS yet.
        """
        self._log.connected()
        if self._readers >= READERS_MAX:
            detail = f"{READERS_MAX} readers look at running episodes already; try again later"
            raise Problem(503, "too-many-readers", "Too many readers", detail, headers={"Retry-After": "10"})

    @asynccontextmanager
    async def reading(self, key: EpisodeKey, *, with_frames: bool) -> AsyncIterator[Reader]:
        """What workers tell of this episode, from now on.

        Raises:
            LogUnavailable: not connected to NATS yet.
        """
        looked_at = self._looked_at.get(key)
        if looked_at is None:
            looked_at = self._looked_at[key] = _LookedAt(self._log.connected(), self._log, key)
        reader = Reader(with_frames=with_frames)
        self._count(1)
        looked_at.add(reader)
        try:
            yield reader
        finally:
            self._count(-1)
            if looked_at.remove(reader):
                del self._looked_at[key]
                await looked_at.close()

    def _count(self, change: int) -> None:
        self._readers += change
        self._gauge.set(self._readers)


@asynccontextmanager
async def live_episodes(log: LogWatch, readers: Gauge, stopping: asyncio.Event) -> AsyncIterator[LiveEpisodes]:
    """For as long as this is open; once `stopping` is set nobody is kept who looks."""
    episodes = LiveEpisodes(log, readers)

    async def stop() -> None:
        await stopping.wait()
        episodes.stop()

    waiting = asyncio.create_task(stop())
    try:
        yield episodes
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})


class _LookedAt:
    """An episode that somebody looks at."""

    def __init__(self, connection: Connection, log: LogWatch, key: EpisodeKey) -> None:
        self._connection, self._log, self._key = connection, log, key
        self._readers: set[Reader] = set()
        self._stirred = asyncio.Event()
        self._ended = False
        self._looking = asyncio.create_task(self._look())

    def add(self, reader: Reader) -> None:
        self._readers.add(reader)
        self._stirred.set()
        if self._ended:
            reader.close(has_outcome=True)

    def remove(self, reader: Reader) -> bool:
        """Whether that was the last one."""
        self._readers.discard(reader)
        return not self._readers

    def end(self, *, has_outcome: bool) -> None:
        """Tells all who look that nothing more comes."""
        for reader in self._readers:
            reader.close(has_outcome=has_outcome)

    async def close(self) -> None:
        self._looking.cancel()
        await asyncio.wait({self._looking})

    async def _look(self) -> None:
        client = self._connection.client
        subscription = await client.subscribe_directly(live.steps(self._key), self._heard)
        try:
            while not self._ended:
                self._stirred.clear()
                await self._wish()
                self._ended = await self._has_outcome()
                if not self._ended:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(live.ASK_S):
                            await self._stirred.wait()
            self.end(has_outcome=True)
        finally:
            if client.is_connected:
                await client.unsubscribe_directly(subscription)

    async def _wish(self) -> None:
        wish = live.FRAMES if any(reader.with_frames for reader in self._readers) else b""
        with suppress(NoAnswer):  # the next one may get through
            await self._connection.send(frames.publish(live.wish(self._key), wish))

    async def _has_outcome(self) -> bool:
        try:
            return await self._log.ask(lambda log: log.last(subjects.outcome(self._key))) is not None
        except (Problem, LogUnavailable):
            return False

    def _heard(self, _: bytes, __: bytes, ___: bytes, body: bytes) -> None:
        for reader in self._readers:
            reader.take(body)
        if b'"done":true' in body:
            self._stirred.set()  # its outcome is due
