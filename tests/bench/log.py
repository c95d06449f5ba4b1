"""How fast the log is: `python -m tests.bench.log`.

Every figure stands beside the limit it is measured against, taken in the same run on the same server, which syncs
before it acknowledges. Rounds of both sides alternate; medians are shown.

| line            | ours                                                 | limit                                     |
|-----------------|------------------------------------------------------|-------------------------------------------|
| append          | payload to acknowledgement: envelope, bytes, batch   | the same batches as bytes made beforehand |
| read            | `JetStreamLog.read`                                  | what the server sends to a bare socket    |
| read and decode | the same, then `decode`                              | `JetStreamLog.read`                       |
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from events import frames
from events.codec import decode, draft
from events.connection import Connection, connect, parse
from events.envelope import Envelope, begin, follow, utc_now
from events.episodes import EpisodeCompleted
from events.event import Event
from events.ids import CycleId, EpisodeKey, Uid
from events.jetstream import JetStreamLog
from events.log import Draft
from events.stream_settings import EVENTS
from events.streams import ensure_streams
from tests.controls import facts
from tests.fixtures.nats import NatsProcess

EVENTS_PER_ROUND = 5_000
ROUNDS = 7
SOURCE = "/kinitro/bench"

Timed = Callable[[], Awaitable[object]]


def outcomes(cycle: int) -> list[EpisodeCompleted]:
    keys = (
        EpisodeKey(CycleId(cycle), Uid(index % 64), facts.REACH, index // 64) for index in range(EVENTS_PER_ROUND)
    )
    return [facts.completed(key) for key in keys]


async def rate(number: int, work: Timed) -> float:
    """Events per second."""
    began = time.perf_counter()
    await work()
    return number / (time.perf_counter() - began)


def parts(drafts: list[Draft], size: int) -> list[list[Draft]]:
    return [drafts[start : start + size] for start in range(0, len(drafts), size)]


async def append_ours(log: JetStreamLog, plan: Envelope[Event], events: list[EpisodeCompleted], size: int) -> None:
    for start in range(0, len(events), size):
        batch, now = events[start : start + size], utc_now()
        await log.append(
            [draft(follow(event, cause=plan.id, correlation=plan.id, source=SOURCE, time=now)) for event in batch]
        )


async def append_raw(connection: Connection, prepared: list[tuple[str, bytes, asyncio.Future[bytes]]]) -> None:
    for _, buffer, answer in prepared:
        await connection.send(buffer)
        parse(await answer)


async def measure_append(connection: Connection, size: int, cycle: int) -> tuple[float, float]:
    """Ours and raw, events per second, in batches of `size`."""
    log, plan = JetStreamLog(connection), begin(facts.planned(), source=SOURCE)
    ours, raw = [], []
    for number in range(ROUNDS):
        events = outcomes(cycle + 2 * number)
        ours.append(await rate(len(events), lambda events=events: append_ours(log, plan, events, size)))  # type: ignore[misc]
        drafts = [
            draft(follow(event, cause=plan.id, correlation=plan.id, source=SOURCE))
            for event in outcomes(cycle + 2 * number + 1)
        ]
        prepared = []
        for batch in parts(drafts, size):
            reply, answer = connection.expect()
            prepared.append((reply, frames.append(batch, reply), answer))
        raw.append(await rate(len(drafts), lambda prepared=prepared: append_raw(connection, prepared)))  # type: ignore[misc]
        for reply, _, _ in prepared:
            connection.forget(reply)
    return median(ours), median(raw)


async def measure_read(connection: Connection, server_url: str) -> tuple[float, float, float]:
    """Decoded, as `Stored`, and as bytes from a socket that nobody looks at; events per second."""
    log = JetStreamLog(connection)
    number = await log.last_sequence()

    async def stored() -> None:
        async for _ in log.read():
            pass

    async def decoded() -> None:
        async for batch in log.read():
            for it in batch:
                decode(it)

    rates = [
        (
            await rate(number, decoded),
            await rate(number, stored),
            await rate(number, lambda: deliver(connection, server_url, number)),
        )
        for _ in range(ROUNDS)
    ]
    return median(each[0] for each in rates), median(each[1] for each in rates), median(each[2] for each in rates)


async def deliver(connection: Connection, server_url: str, number: int) -> None:
    """Everything in the log, as fast as the server can send it."""
    config = {"name": "bench", "ack_policy": "none", "deliver_policy": "all", "mem_storage": True}
    await connection.api(f"CONSUMER.CREATE.{EVENTS}.bench", {"stream_name": EVENTS, "config": config})
    address = urlsplit(server_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**20)
    pull = json.dumps({"batch": number, "max_bytes": 2**40}).encode()
    writer.write(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB bench 1\r\n')
    writer.write(frames.request(f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.bench", "bench", pull))
    tail = b""
    while b"409 Batch Completed" not in tail:
        tail = tail[-100:] + await reader.read(2**20)
    writer.close()
    await connection.api(f"CONSUMER.DELETE.{EVENTS}.bench")


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kinitro-") as home:
        server = NatsProcess(Path(home))
        server.start()
        try:
            await server.embedded.wait_ready()
            async with await connect(server.url, "bench") as connection:
                await ensure_streams(connection)
                hundreds = await measure_append(connection, 100, 1)
                thousands = await measure_append(connection, 1_000, 101)
                decoded, stored, delivered = await measure_read(connection, server.url)
        finally:
            server.kill()
    print(f"{'events/s':<24} {'ours':>9} {'limit':>9} {'ratio':>6} {'wanted':>7}")
    for name, ours, limit, wanted in (
        ("append, batches of 100", *hundreds, ">= 0.7"),
        ("append, batches of 1000", *thousands, ">= 0.7"),
        ("read", stored, delivered, ""),
        ("read and decode", decoded, stored, ""),
    ):
        print(f"{name:<24} {ours:>9,.0f} {limit:>9,.0f} {ours / limit:>6.2f} {wanted:>7}")


if __name__ == "__main__":
    asyncio.run(main())
