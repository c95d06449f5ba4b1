"""How fast and how cheap the live stream is with a thousand readers, against a bare broadcast of the same bytes.

    python -m tests.bench.stream [seconds]

200 events a second are appended; an API process streams them to 1,000 readers, which are in a process of their own
and check that every event comes once and in order. The bare process is handed the same frames on a pipe, in the
batches in which the readers of the API got them, and writes them to as many sockets: what asyncio alone costs.

Wanted: p99 from append to reader under 500 ms, and at most 2 of the bare broadcast's CPU.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, NamedTuple, cast

import aiohttp
import uvloop

from api.server import run_api
from api.settings import ApiSettings
from events.codec import draft
from events.connection import connect
from events.envelope import begin
from events.ids import CycleId, EnvId, EpisodeKey, Uid
from events.jetstream import JetStreamLog
from events.streams import ensure_streams
from tests.controls import facts
from tests.eventually import eventually
from tests.fixtures.http import NOWHERE
from tests.fixtures.nats import running
from tests.fixtures.ports import free_port

READERS = 1_000
RATE = 200
SECONDS = 10.0
PATH = "/v1/events/stream"
WARM_UP_S = 1.0
"""Not measured."""
STOP = struct.pack("!I", 0)


class Counted(NamedTuple):
    """What the readers of one server got."""

    delays_s: list[float]
    wrong: int
    """Readers that missed an event, or had one twice or out of order."""
    batches: list[tuple[float, bytes]]
    """Of the first reader: when they came, counted from the first, and their bytes."""


class Reader(asyncio.Protocol):
    """Looks at the ids only; the time at which an event was appended comes from elsewhere."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.ids: list[int] = []
        self.times: list[float] = []
        self.batches: list[tuple[float, bytes]] = []
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(f"GET {PATH} HTTP/1.1\r\nHost: here\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if self.keep:
            self.batches.append((now, data))
        *lines, self._rest = (self._rest + data).split(b"\nevent: ")
        for line in lines:
            self.ids.append(int(line[line.rindex(b"id: ") + 4 :]))
            self.times.append(now)


async def readers(port: int, first: int, events: int, pipe: Pipe) -> None:
    """Opens all connections, says so, and answers with what they got once all have all events."""
    loop = asyncio.get_running_loop()
    opened: list[Reader] = []
    for number in range(READERS):
        _, reader = await loop.create_connection(lambda number=number: Reader(number == 0), "127.0.0.1", port)  # type: ignore[misc]
        opened.append(reader)
    pipe.send("open")
    await eventually(lambda: all(len(reader.ids) >= events for reader in opened), 120)
    wanted = list(range(first, first + events))
    wrong = sum(reader.ids != wanted for reader in opened)
    pipe.send((wrong, [reader.times for reader in opened], opened[0].batches))


def _readers(port: int, first: int, events: int, pipe: Pipe) -> None:
    uvloop.run(readers(port, first, events, pipe))


def _api(nats_url: str, port: int) -> None:
    uvloop.run(run_api(ApiSettings(database_url=NOWHERE, nats_url=nats_url), "127.0.0.1", port, asyncio.Event()))


class Listener(asyncio.Protocol):
    """A socket of the bare broadcast."""

    def __init__(self, everybody: list[asyncio.Transport]) -> None:
        self._everybody = everybody

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._everybody.append(self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._everybody.remove(self._transport)


async def bare(port: int) -> None:
    """Writes each length-prefixed piece from stdin to all sockets."""
    loop = asyncio.get_running_loop()
    everybody: list[asyncio.Transport] = []
    server = await loop.create_server(lambda: Listener(everybody), "127.0.0.1", port, backlog=1024)
    pieces = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pieces), sys.stdin)
    while True:
        (length,) = struct.unpack("!I", await pieces.readexactly(4))
        if not length:
            break
        piece = await pieces.readexactly(length)
        for transport in everybody:
            transport.write(piece)
    server.close()


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(target: Any, *arguments: Any) -> Iterator[multiprocessing.process.BaseProcess]:
    child = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    child.start()
    try:
        yield child
    finally:
        child.terminate()
        child.join()


async def append(log: JetStreamLog, events: int) -> list[float]:
    """One event each 5 ms; the moments at which each append began."""
    moments: list[float] = []
    started = time.monotonic()
    for number in range(events):
        await asyncio.sleep(max(0.0, started + number / RATE - time.monotonic()))
        key = EpisodeKey(CycleId(1), Uid(number % 64), EnvId("metaworld/reach-v3"), number)
        moments.append(time.monotonic())
        await log.append([draft(begin(facts.completed(key), source="/bench"))])
    return moments


async def answering(port: int) -> None:
    async with aiohttp.ClientSession() as session:

        async def answers() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}{PATH}") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers)


async def ours(nats_url: str, events: int) -> tuple[float, Counted]:
    """CPU seconds of the API while it streams, and what came of it."""
    port, (near, far) = free_port(), multiprocessing.Pipe()
    async with await connect(nats_url, "bench") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        with process(_api, nats_url, port) as api:
            await answering(port)
            with process(_readers, port, 1, events, far):
                assert await asyncio.to_thread(near.recv) == "open"
                await asyncio.sleep(WARM_UP_S)
                before = cpu_s(cast("int", api.pid))
                moments = await append(log, events)
                wrong, times, batches = await asyncio.to_thread(near.recv)
                used = cpu_s(cast("int", api.pid)) - before
    delays = [at - since for each in times for at, since in zip(each, moments, strict=False)]
    return used, Counted(delays, wrong, [(at - batches[0][0], data) for at, data in batches if b"event: " in data])


async def broadcast(batches: list[tuple[float, bytes]], events: int) -> float:
    """CPU seconds of the bare broadcast of these pieces at these times."""
    port, (near, far) = free_port(), multiprocessing.Pipe()
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.stream", "bare", str(port), stdin=asyncio.subprocess.PIPE
    )
    assert other.stdin is not None
    try:
        await eventually(lambda: listens(port))
        with process(_readers, port, 1, events, far):
            assert await asyncio.to_thread(near.recv) == "open"
            await asyncio.sleep(WARM_UP_S)
            before, started = cpu_s(other.pid), time.monotonic()
            for at, data in batches:
                await asyncio.sleep(max(0.0, started + at - batches[0][0] - time.monotonic()))
                other.stdin.write(struct.pack("!I", len(data)) + data)
            await other.stdin.drain()
            wrong, *_ = await asyncio.to_thread(near.recv)
            assert not wrong
            used = cpu_s(other.pid) - before
    finally:
        other.stdin.write(STOP)
        other.stdin.close()
        await other.wait()
    return used


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def compare(nats_url: str, seconds: float) -> None:
    events = round(seconds * RATE)
    used, counted = await ours(nats_url, events)
    sizes = [len(data) for _, data in counted.batches]
    bare_used = await broadcast(counted.batches, events)
    one_by_one = await broadcast(single(counted.batches), events)
    delays = sorted(counted.delays_s)
    worst, size = 1000 * delays[-1], statistics.mean(sizes)
    p50, p99 = (1000 * delays[round(share * (len(delays) - 1))] for share in (0.5, 0.99))
    print(f"{READERS} readers, {events} events at {RATE}/s: {counted.wrong} readers with a gap, doublet or disorder")
    print(f"append to reader: p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {worst:.0f} ms (wanted p99 < 500)")
    print(f"the API {used:.2f} s of CPU in {seconds:g} s; {len(sizes)} batches of {size:,.0f} bytes")
    print(f"a bare broadcast of the same batches: {bare_used:.2f} s; event by event: {one_by_one:.2f} s")
    print(f"live stream: {used / bare_used:.2f} of the bare broadcast's CPU (wanted at most 2),", end=" ")
    print(f"{used / one_by_one:.2f} of one event by event")


def single(batches: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """The same events, each by itself, at the moment of its batch."""
    pieces = []
    for at, data in batches:
        first, *rest = data.split(b"\nevent: ")
        head = first[first.rindex(b"id: ") :]
        for part in rest:
            body, _, tail = part.partition(b"\n\n")
            pieces.append((at, b"%b\nevent: %b\n\n" % (head, body)))
            head = tail
    return pieces


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with running() as nats:
        uvloop.run(compare(nats.url, seconds))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare", port]:
            uvloop.run(bare(int(port)))
        case _:
            main()
