"""Somebody who has read the log all along, and remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Self

from events.log import EventLog, Stored
from tests.eventually import eventually


class Witness:
    """Has followed the log from its first event; what it has seen must be there for ever, at its place."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.seen: list[Stored] = []

    @classmethod
    @asynccontextmanager
    async def of(cls, log: EventLog) -> AsyncIterator[Self]:
        witness = cls(log)
        watching = asyncio.create_task(witness._watch())
        try:
            yield witness
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def confirmed(self) -> None:
        """Fails unless the log holds what was seen, byte for byte and without a gap, and nothing unseen before it."""
        end = await self._log.last_sequence()
        await eventually(lambda: bool(self.seen) and self.seen[-1].sequence >= end)
        seen = list(self.seen)
        stored = [event async for batch in self._log.read() for event in batch]
        assert [event.sequence for event in stored] == list(range(1, len(stored) + 1))
        assert stored[: len(seen)] == seen

    async def _watch(self) -> None:
        async with aclosing(self._log.follow()) as batches:
            async for batch in batches:
                self.seen += batch
