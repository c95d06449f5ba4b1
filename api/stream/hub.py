"""One subscription to the log feeds all readers of this process.

What arrives is encoded once, kept in a ring, and written to all live readers in one go. *Live* are those that have
everything up to the newest event. Whoever is behind - it asks for history, or its connection is full - fetches by
itself from the ring or the log until it has caught up, and costs the others nothing.

After a broadcast nothing is sent for `PAUSE_S`, so that a thousand readers get ten events by one write each instead
of ten. An event that comes alone does not wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from api.stream.ends import LogChanged, NotReadable, Stopping, StreamEnd
from api.stream.entries import Entry, Unstreamable, entry_of
from api.stream.framing import Framing
from api.stream.ring import Ring
from api.stream.wanted import Wanted
from events.log import EventLog, LogError, LogUnavailable, Stored
from events.patience import Patience

if TYPE_CHECKING:
    from api.stream.reader import Reader

PAUSE_S = 0.05
HEARTBEAT_S = 15.0
AT_ONCE = 100
"""How many heartbeats are written before others have a turn."""

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the stream may cost this process."""

    readers_max: int = 2_000
    ring_entries_max: int = 16_384
    ring_bytes_max: int = 32 * 1024 * 1024
    histories_max: int = 8
    """How many readers read the log at once. Each may hold two pull requests' worth of events."""
    piece_bytes: int = 64 * 1024
    """How much is written at once; one event may be longer."""
    behind_bytes: int = 64 * 1024
    """A reader whose connection holds more is no longer live: nothing is written to it until most of it is taken."""
    stall_s: float = 10.0
    """How long it may then take, before it is cut off."""
    history_turn_s: float = 5.0
    """After this time another reader may read the log."""


class Audience(NamedTuple):
    """Readers to whom the same bytes go."""

    framing: Framing
    wanted: Wanted


class Hub:
    """The newest events, and all readers. `open_log` gives the log to follow, or raises `LogUnavailable`."""

    def __init__(self, open_log: Callable[[], EventLog], *, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.readers: set[Reader] = set()
        self.histories = asyncio.Semaphore(self.limits.histories_max)
        self._open_log = open_log
        self._live: dict[Audience, set[Reader]] = {}
        self._ring: Ring | None = None
        self._ready = asyncio.Event()
        self._grown = asyncio.Event()
        self._stopping = False

    @property
    def ring(self) -> Ring:
        """Once ready.

        Raises:
            LogChanged: it has been emptied since, and is not ready.
        """
        if self._ring is None:
            raise LogChanged("the log was replaced or lost events; look at its end before you resume")
        return self._ring

    @property
    def is_full(self) -> bool:
        return len(self.readers) >= self.limits.readers_max

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    async def ready(self) -> None:
        """Returns once the ring reaches as far as the log did when it was found."""
        await self._ready.wait()

    async def grown(self) -> None:
        """Returns when there is something new in the ring."""
        await self._grown.wait()

    def go_live(self, reader: Reader) -> None:
        """Whoever has everything up to `ring.newest` gets what comes next."""
        assert reader.position == self.ring.newest
        self._live.setdefault(reader.audience, set()).add(reader)

    def leave(self, reader: Reader) -> None:
        """It is not live, or no longer."""
        audience = self._live.get(reader.audience)
        if audience is not None:
            audience.discard(reader)
            if not audience:
                del self._live[reader.audience]

    def stop(self) -> None:
        """Ends all streams, and admits no more."""
        self._stopping = True
        self._end_all(Stopping("this copy of the API stops; connect again, which finds another or the next one"))

    async def run(self) -> None:
        """Follows the log until it is cancelled."""
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                await self._follow_patiently()
        finally:
            beating.cancel()
            await asyncio.wait({beating})

    async def _follow_patiently(self) -> None:
        patience = Patience(float("inf"))
        while True:
            try:
                await self._follow(self._open_log())
            except LogUnavailable:
                await patience.pause()
            except LogError as error:
                logger.warning("the live streams end: the log is not what it was", reason=str(error))
                self._forget(LogChanged(f"{error}; look at the log's end before you resume"))
                await patience.pause()

    async def _follow(self, log: EventLog) -> None:
        end = await log.last_sequence()
        limits = self.limits
        ring = Ring(
            max(0, end - limits.ring_entries_max),
            entries_max=limits.ring_entries_max,
            bytes_max=limits.ring_bytes_max,
        )
        self._ring = ring
        if ring.newest == end:
            self._ready.set()
        async with aclosing(log.follow(after=ring.newest)) as batches:
            async for batch in batches:
                await self._take(ring, batch)
                if ring.newest >= end:
                    self._ready.set()
                    await asyncio.sleep(PAUSE_S)

    async def _take(self, ring: Ring, batch: list[Stored]) -> None:
        piece: list[Entry] = []
        size = 0
        for stored in batch:
            entry = entry_of(stored)
            piece.append(entry)
            size += len(entry.frame)
            if size >= self.limits.piece_bytes:
                self._publish(ring, piece)
                piece, size = [], 0
                await asyncio.sleep(0)
        if piece:
            self._publish(ring, piece)

    def _publish(self, ring: Ring, piece: list[Entry]) -> None:
        ring.add(piece)
        for audience, readers in list(self._live.items()):
            try:
                data = packed(audience, piece)
            except Unstreamable as error:
                for reader in readers:
                    reader.end(NotReadable(str(error)))
                continue
            self._broadcast(list(readers), data, ring.newest)
        self._grown.set()
        self._grown = asyncio.Event()

    def _broadcast(self, readers: list[Reader], data: bytes, position: int) -> None:
        behind_bytes = self.limits.behind_bytes
        for reader in readers:
            if data:
                if reader.wire.buffered > behind_bytes:
                    reader.fall_behind()
                    continue
                reader.wire.write(data)
            reader.position = position

    async def _beat(self) -> None:
        """An idle connection is told that it is alive, and how far has been looked."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for number, reader in enumerate(list(self.readers), start=1):
                reader.beat()
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _forget(self, end: StreamEnd) -> None:
        self._ready.clear()
        self._ring = None
        self._end_all(end)

    def _end_all(self, end: StreamEnd) -> None:
        for reader in list(self.readers):
            reader.end(end)


def packed(audience: Audience, entries: list[Entry]) -> bytes:
    """What goes to these readers; nothing if they want none of the events.

    Raises:
        Unstreamable: one of them cannot be written as it is.
    """
    framing, wanted = audience
    chosen = entries if wanted.is_all else [entry for entry in entries if wanted.has(entry)]
    frames = b"".join(map(framing.event, chosen))
    return framing.packed(frames) if frames else b""
