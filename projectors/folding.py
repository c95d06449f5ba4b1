"""The processes that fold for a bulk build: `python -m projectors.folding SOCKET...`, run by `projectors.crew`.

One process imports what they need, which takes longer than folding 50,000 events, and becomes as many as there are
sockets. Over its socket each is told and answers in frames: eight bytes of length, then a pickle. Whoever started
them holds the other ends; when these close, however that comes about, they end.

    in:   Orders, once          where to read and where to write
    in:   Stretch               which events of the log to fold
    out:  (number, Folded)      what they change, apart from the rows that were appended already
"""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import socket
import sys
from contextlib import aclosing
from logging import WARNING
from typing import Any, NamedTuple

import asyncpg
import structlog
import uvloop

from events.connection import connect
from events.jetstream import JetStreamLog
from events.log import LogError, Stored
from projectors.changes import Changes, Remainder
from projectors.database import CONNECT_TIMEOUT_S, checked_url
from projectors.feed import SLICE_EVENTS_MAX, Batch
from projectors.projector import Projection
from projectors.topics import PROJECTIONS

LENGTH_BYTES = 8
LANES = 2
"""Stretches that one process folds at once: while the database takes the rows of one, events of another arrive."""
COMMAND_TIMEOUT_S = 60.0
WRITE_EVENTS, WRITE_BYTES = 10_000, 16 * 1024 * 1024
"""Rows are written after the events that reach either."""
COLLECT_STRETCHES = 32
"""After so many the garbage collector is called; folding by itself leaves it nothing to find."""

logger = structlog.get_logger(__name__)


class Place(NamedTuple):
    """A schema being built. `checkpoint_oid` tells it from another that is given its name later."""

    schema: str
    checkpoint_oid: int


class Orders(NamedTuple):
    """The log, and where each projection, by name, is to be written."""

    log_url: str
    log_identity: str
    database_url: str
    places: dict[str, Place]


class Stretch(NamedTuple):
    """The events past the sequence `after`, up to `last`, and the names of the projections that want them."""

    number: int
    after: int
    last: int
    names: tuple[str, ...]


Folded = dict[str, Remainder | None]
"""By projection; None where an event could not be folded, or a row not be written."""


class Replaced(Exception):
    """What was ordered is gone: the log is another one, or another process builds in a schema of this name."""


def frame(message: object) -> bytes:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


async def next_message(incoming: asyncio.StreamReader) -> Any:
    """What was sent by `frame`; only our own processes hold the other end.

    Raises:
        IncompleteReadError: the other end is closed.
    """
    length = int.from_bytes(await incoming.readexactly(LENGTH_BYTES), "big")
    return pickle.loads(await incoming.readexactly(length))  # noqa: S301


async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
    """Folds until `incoming` ends.

    Raises:
        LogError: the log failed. What was not answered for is not folded.
        Replaced: it is not the log of the orders.
    """
    orders: Orders = await next_message(incoming)
    async with await connect(orders.log_url, "folding") as nats:
        log = JetStreamLog(nats)
        if (identity := await log.identity()) != orders.log_identity:
            raise Replaced(f"this is log {identity}, not {orders.log_identity}")
        stretches: asyncio.Queue[Stretch] = asyncio.Queue()
        lanes = [asyncio.create_task(_lane(log, orders, stretches, outgoing)) for _ in range(LANES)]
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
            stretches.put_nowait(await next_message(incoming))
    except asyncio.IncompleteReadError:
        return


async def _lane(
    log: JetStreamLog, orders: Orders, stretches: asyncio.Queue[Stretch], outgoing: asyncio.StreamWriter
) -> None:
    connection = await asyncpg.connect(
        checked_url(orders.database_url),
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        # What was answered for is on disk: a server that crashes cannot take it back unnoticed.
        server_settings={"application_name": "kinitro folding", "synchronous_commit": "on"},
    )
    try:
        while True:
            stretch = await stretches.get()
            outgoing.write(frame((stretch.number, await _Folding(connection, orders.places, stretch).run(log))))
            await outgoing.drain()
            if stretch.number % COLLECT_STRETCHES == 0:
                gc.collect()
    finally:
        connection.terminate()


class _Folding:
    """One stretch, being folded."""

    def __init__(self, connection: asyncpg.Connection, places: dict[str, Place], stretch: Stretch) -> None:
        self._connection = connection
        self._places = places
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
                    if len(batch.events) >= WRITE_EVENTS or size >= WRITE_BYTES:
                        await self._write(batch)
                        batch, size = self._batch(part[-1].sequence), 0
                    await asyncio.sleep(0)
        if batch.events:
            await self._write(batch)
        return {it.name: None if it in self._lost else changes.remainder() for it, changes in self._changes.items()}

    def _batch(self, after: int) -> Batch:
        return Batch({it: after for it in self._changes if it not in self._lost})

    async def _write(self, batch: Batch) -> None:
        for projection, gathered in self._changes.items():
            if projection in self._lost:
                continue
            changes = batch.changes(projection)
            if changes is None or not await self._append(self._places[projection.name], changes):
                self._lost.add(projection)
            else:
                gathered.add(projection.metadata, changes.remainder())

    async def _append(self, place: Place, changes: Changes) -> bool:
        if not changes.appends:
            return True
        try:
            async with self._connection.transaction():
                await self._check(place)
                await changes.copy(self._connection, place.schema)
        except Exception as error:  # noqa: BLE001 - the outcome is False: the careful way meets it again, and tells
            logger.debug("rows not appended", schema=place.schema, error=repr(error)[:300])
            return False
        return True

    async def _check(self, place: Place) -> None:
        """Until the transaction ends nobody can drop the table that this has read from."""
        query = f'SELECT tableoid::bigint FROM "{place.schema}".checkpoint'  # noqa: S608 - no value, a name of ours
        if await self._connection.fetchval(query) != place.checkpoint_oid:
            raise Replaced(f"{place.schema} is being built by another process")


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
    except (LogError, Replaced, OSError, asyncio.IncompleteReadError, asyncpg.PostgresError) as error:
        sys.exit(f"folding ended: {error}")


if __name__ == "__main__":
    main()
