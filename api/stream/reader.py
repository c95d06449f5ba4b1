"""One reader of the stream: from where it resumes, over history, to what comes next.

| where it is                  | where the next events come from                                              |
|------------------------------|------------------------------------------------------------------------------|
| before the ring              | the log, by a read of its own                                                |
| in the ring                  | the ring                                                                     |
| at the ring's newest         | the hub's broadcasts                                                         |
| past it                      | nothing yet: another copy of the API was faster                              |

`position` says up to which sequence it has been given all that it wants, and moves with each write and with nothing
else. It is looked at anew after every wait, so it makes no difference what the ring has won or lost meanwhile, and
between the look that finds nothing missing and going live there is no wait.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from api.stream.ends import LogChanged, NotReadable, StreamEnd, TooSlow
from api.stream.entries import Entry, Unstreamable, entry_of
from api.stream.hub import Audience, Hub, packed
from api.stream.ring import Part
from api.stream.wire import Wire
from events.log import EventLog, LogError, LogUnavailable, Stored
from events.patience import Patience

RETRY_S = 1.0
PATIENCE_S = 5.0

OpenLog = Callable[[float], EventLog]
"""Gives the log to read history from, which is so many seconds patient, or raises `LogUnavailable`."""


class Reader:
    """Writes to `wire` all that the audience wants past `position`."""

    def __init__(self, hub: Hub, wire: Wire, audience: Audience, position: int, open_log: OpenLog) -> None:
        self.wire, self.audience, self.position = wire, audience, position
        self.ended: asyncio.Future[StreamEnd] = asyncio.get_running_loop().create_future()
        self._hub, self._open_log = hub, open_log
        self._behind = asyncio.Event()

    async def run(self, left: Coroutine[Any, Any, None]) -> StreamEnd | None:
        """Why it ends; None if its client has left."""
        leaving = asyncio.create_task(left)
        reading = asyncio.create_task(self._read())
        self._hub.readers.add(self)
        try:
            first: set[asyncio.Future[Any]] = {leaving, reading, self.ended}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.readers.discard(self)
            self._hub.leave(self)
            leaving.cancel()
            reading.cancel()
            await asyncio.wait(first - {self.ended})
        if not reading.cancelled():
            return reading.result()
        return self.ended.result() if self.ended.done() else None

    def end(self, why: StreamEnd) -> None:
        """Ends it, with `why` as its last word."""
        self._hub.leave(self)
        if not self.ended.done():
            self.ended.set_result(why)

    def fall_behind(self) -> None:
        """Its connection is full: it goes on by itself."""
        self._hub.leave(self)
        self._behind.set()

    def beat(self) -> None:
        """A sign of life, where the connection is idle."""
        if not self.wire.buffered and not self.ended.done():
            framing = self.audience.framing
            self.wire.write(framing.packed(framing.heartbeat(self.position)))

    async def _read(self) -> StreamEnd:
        framing = self.audience.framing
        self.wire.write(framing.packed(framing.begin(self.position)))
        try:
            while True:
                await self._catch_up()
                self._behind.clear()
                self._hub.go_live(self)
                await self._behind.wait()
        except Unstreamable as error:
            return NotReadable(str(error))
        except StreamEnd as end:
            return end

    async def _catch_up(self) -> None:
        limits = self._hub.limits
        while True:
            await self._room()
            ring = self._hub.ring
            if self.position == ring.newest:
                return
            if self.position > ring.newest:
                await self._hub.grown()
            elif self.position < ring.start:
                await self._history()
            else:
                self._write(ring.after(self.position, self.audience.wanted, limits.piece_bytes))
                await asyncio.sleep(0)

    async def _room(self) -> None:
        limits = self._hub.limits
        if self.wire.buffered <= limits.behind_bytes:
            return
        try:
            async with asyncio.timeout(limits.stall_s):
                await self.wire.drained()
        except TimeoutError:
            raise TooSlow(
                f"{self.wire.buffered} bytes were not taken in {limits.stall_s:g} s: resume after the last id that"
                " arrived, and read faster or ask for less"
            ) from None

    def _write(self, part: Part) -> None:
        data = packed(self.audience, part.entries)
        if data:
            self.wire.write(data)
        self.position = part.position

    async def _history(self) -> None:
        """Reads the log up to the ring, or for as long as others can be kept waiting."""
        away = False
        async with self._hub.histories:
            try:
                await self._read_log(self._open_log(PATIENCE_S))
            except LogUnavailable:
                away = True
            except LogError as error:
                raise LogChanged(str(error)) from error
        if away:  # it goes on where it was once the log is there again
            await asyncio.sleep(RETRY_S * random.uniform(0.5, 1.5))

    async def _read_log(self, log: EventLog) -> None:
        turn_ends = time.monotonic() + self._hub.limits.history_turn_s
        until = self._hub.ring.newest
        await _reaches(log, until)
        async with aclosing(log.read(after=self.position, subject=self.audience.wanted.subjects)) as batches:
            async for batch in batches:
                for part in self._parts(batch):
                    await self._room()
                    self._write(part)
                    await asyncio.sleep(0)
                if self.position >= self._hub.ring.start or time.monotonic() > turn_ends:
                    return
        self.position = max(self.position, until)

    def _parts(self, batch: list[Stored]) -> list[Part]:
        parts: list[Part] = []
        entries: list[Entry] = []
        size = 0
        for stored in batch:
            entry = entry_of(stored)
            if self.audience.wanted.has(entry):
                entries.append(entry)
                size += len(entry.frame)
            if size >= self._hub.limits.piece_bytes:
                parts.append(Part(entries, entry.sequence))
                entries, size = [], 0
        return [*parts, Part(entries, batch[-1].sequence)]


async def _reaches(log: EventLog, sequence: int) -> None:
    """Returns once the log's leader knows of an event that was already seen here: a new one may have to catch up."""
    patience = Patience(PATIENCE_S)
    while (end := await log.last_sequence()) < sequence:
        if not await patience.pause():
            raise LogUnavailable(f"the log ends at sequence {end}, before {sequence}, which was seen already")
