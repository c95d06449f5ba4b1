"""The processes that fold for a bulk build: `python -m projectors.folding SOCKET...`, run by `projectors.crew`.

One process imports what they need, which takes longer than folding 50,000 events, and becomes as many as there are
sockets. Over its socket each is told and answers (`projectors.messages`). Whoever started them holds the other ends;
when these close, however that comes about, they end.

    in:   Orders, once          where to read
    in:   Stretch               which events of the log to fold
    out:  Rows, any number      rows that they append
    out:  (number, Folded)      what else they change; all rows of the stretch were sent before

They know nothing of the database: who started them writes it, in one transaction for each projection.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import sys
from contextlib import aclosing
from logging import WARNING

import structlog
import uvloop

from events.connection import connect
from events.jetstream import JetStreamLog
from events.log import LogError, Stored
from projectors.changes import Changes
from projectors.feed import SLICE_EVENTS_MAX, Batch
from projectors.messages import Folded, Orders, Rows, Stretch, receive, send
from projectors.projector import Projection
from projectors.topics import PROJECTIONS

LANES = 2
"""Stretches that one process folds at once: while the rows of one are sent, events of another arrive."""
SEND_EVENTS, SEND_BYTES = 5_000, 8 * 1024 * 1024
"""Rows are sent after the events that reach either."""
COLLECT_STRETCHES = 32
"""After so many the garbage collector is called; folding by itself leaves it nothing to find."""

logger = structlog.get_logger(__name__)


class Replaced(Exception):
    """What was ordered is gone: the log is another one."""


async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """Folds until `incoming` ends.

    Raises:
        LogError: the log failed. What was not answered for is not folded.
        Replaced: it is not the log of the orders.
    """
    orders: Orders = await receive(incoming)
    async with await connect(orders.log_url, "folding") as nats:
        log = JetStreamLog(nats)
        if (identity := await log.identity()) != orders.log_identity:
            raise Replaced(f"this is log {identity}, not {orders.log_identity}")
        stretches: asyncio.Queue[Stretch] = asyncio.Queue()
        lanes = [asyncio.create_task(_lane(log, stretches, outgoing)) for _ in range(LANES)]
        hearing = asyncio.create_task(_hear(incoming, stretches))
        try:
            await asyncio.wait({hearing, *lanes}, return_when=asyncio.FIRST_COMPLETED)
            for lane in lanes:
                if lane.done():
                    lane.result()
        finally:
            for task in (hearing, *lanes):
                task.cancel()
            await asyncio.wait({hearing, *lanes})


async def _hear(incoming: asyncio.StreamReader, stretches: asyncio.Queue[Stretch]) -> None:
    try:
        while True:
            stretches.put_nowait(await receive(incoming))
    except asyncio.IncompleteReadError:
        return


async def _lane(log: JetStreamLog, stretches: asyncio.Queue[Stretch], outgoing: asyncio.StreamWriter) -> None:
    while True:
        stretch = await stretches.get()
        send(outgoing, (stretch.number, await _Folding(outgoing, stretch).run(log)))
        await outgoing.drain()
        if stretch.number % COLLECT_STRETCHES == 0:
            gc.collect()


class _Folding:
    """One stretch, being folded."""

    def __init__(self, outgoing: asyncio.StreamWriter, stretch: Stretch) -> None:
        self._outgoing = outgoing
        self._stretch = stretch
        self._changes: dict[Projection, Changes] = {it: Changes() for it in PROJECTIONS if it.name in stretch.names}
        self._lost: set[Projection] = set()

    async def run(self, log: JetStreamLog) -> Folded:
        batch, size = self._batch(self._stretch.after), 0
        async with aclosing(log.stretch(after=self._stretch.after, last=self._stretch.last)) as source:
            async for events in source:
                for start in range(0, len(events), SLICE_EVENTS_MAX):
                    part = events[start : start + SLICE_EVENTS_MAX]
                    batch.add(part)
                    size += _bytes(part)
                    if len(batch.events) >= SEND_EVENTS or size >= SEND_BYTES:
                        await self._send(batch)
                        batch, size = self._batch(part[-1].sequence), 0
                    await asyncio.sleep(0)
        if batch.events:
            await self._send(batch)
        return {it.name: None if it in self._lost else changes.remainder() for it, changes in self._changes.items()}

    def _batch(self, after: int) -> Batch:
        return Batch({it: after for it in self._changes if it not in self._lost})

    async def _send(self, batch: Batch) -> None:
        for projection, gathered in self._changes.items():
            if projection in self._lost:
                continue
            changes = batch.changes(projection)
            rows = None if changes is None else _rows(projection, changes)
            if changes is None or rows is None:
                self._lost.add(projection)
                continue
            gathered.add(projection.metadata, changes.remainder())
            if rows.packed or rows.plain:
                send(self._outgoing, rows)
        await self._outgoing.drain()


def _rows(projection: Projection, changes: Changes) -> Rows | None:
    rows = Rows(projection.name, {}, {})
    for table, appended in changes.appended.items():
        packing = projection.heavy.get(table)
        if packing is None:
            rows.plain[table.name] = appended
            continue
        try:
            rows.packed[table.name] = packing(appended)
        except (struct.error, TypeError, ValueError, AttributeError) as error:
            logger.debug("a value does not fit its column", table=table.fullname, error=repr(error)[:300])
            return None  # the careful way meets it again, and tells
    return rows


def _bytes(events: list[Stored]) -> int:
    return sum([len(stored.body) for stored in events])


def _spare_the_collector() -> None:
    """Parsed events are many, and never part of a cycle: looking through them takes half as long as folding."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def _main(mine: socket.socket) -> None:
    incoming, outgoing = await asyncio.open_connection(sock=mine)
    try:
        await serve(incoming, outgoing)
    finally:
        outgoing.close()


def main() -> None:
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    sockets = [int(number) for number in sys.argv[1:]]
    _spare_the_collector()
    mine = sockets[0]
    for other in sockets[1:]:
        if os.fork() == 0:  # nothing runs yet beside this: no thread, no event loop
            mine = other
            break
    for other in sockets:
        if other != mine:
            os.close(other)
    try:
        uvloop.run(_main(socket.socket(fileno=mine)))
    except (LogError, Replaced, OSError, asyncio.IncompleteReadError) as error:
        sys.exit(f"folding ended: {error}")


if __name__ == "__main__":
    main()
