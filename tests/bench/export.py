"""How fast a log goes out and comes in, against only reading it, and that memory does not grow with it.

    python -m tests.bench.export [events]

| line         | what is timed                                                                        |
|--------------|--------------------------------------------------------------------------------------|
| file         | log to a file that is on disk in the end                                             |
| HTTP         | log to an API process to a client that checks every line and writes all to a file    |
| import       | a file is read and checked to its end, then once more and appended to an empty log   |

Every line is a process of its own; medians of rounds that alternate with the reading. Peak memory is that of each
process, for a log and for one of four times its size.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvloop

from api.server import run_api
from api.settings import ApiSettings
from events.connection import connect
from events.export import check, read
from events.export_api import fetch_log
from events.export_files import lines, reading, writing
from events.jetstream import JetStreamLog
from events.mirror import bring_in, encode
from events.streams import ensure_streams
from tests.controls.cycles import large_cycle
from tests.fixtures.http import NOWHERE
from tests.fixtures.nats import running
from tests.fixtures.ports import free_port
from tests.fixtures.projecting import write

EVENTS = 200_000
SMALLER = 4
ROUNDS = 3
MINERS, ENVIRONMENTS, EPISODES = 50, 8, 25

Work = Callable[[], Coroutine[Any, Any, int]]


class Measured(NamedTuple):
    """What one process did, and what it needed at most."""

    events_per_s: float
    peak_mib: float


async def raw(url: str) -> int:
    count = 0
    async with await connect(url, "bench") as connection:
        async for batch in JetStreamLog(connection).read():
            count += len(batch)
    return count


async def to_file(url: str, path: Path) -> int:
    async with await connect(url, "bench") as connection:
        with writing(path) as sink:
            async for piece in encode(JetStreamLog(connection).read()):
                sink.write(piece)
        return await JetStreamLog(connection).last_sequence()


async def over_http(base_url: str, path: Path, encoding: str) -> int:
    async with aiohttp.ClientSession(headers={"Accept-Encoding": encoding}) as session:
        with writing(path) as sink:
            return (await fetch_log(session, base_url, 0, sink)).count


async def from_file(url: str, path: Path) -> int:
    async with await connect(url, "bench") as connection:
        await ensure_streams(connection)
        with reading(path) as file:
            trailer = check(lines(file))
            return (await bring_in(JetStreamLog(connection), read(lines(file)), trailer)).appended


def measured(work: Work) -> Measured:
    """In a fresh process, whose peak memory is this work's alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_measured, work).result()


def _measured(work: Work) -> Measured:
    started = time.perf_counter()
    count = uvloop.run(work())
    return Measured(count / (time.perf_counter() - started), peak_mib("self"))


def peak_mib(process: int | str) -> float:
    """What Linux saw this process occupy at most."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def serving(nats_url: str) -> Iterator[tuple[str, int]]:
    """Base URL and process id of an API that has nothing but the log."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(nats_url, port))
    process.start()
    assert process.pid is not None
    try:
        asyncio.run(answering(f"http://127.0.0.1:{port}"))
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.join()


def _serve(nats_url: str, port: int) -> None:
    uvloop.run(run_api(ApiSettings(database_url=NOWHERE, nats_url=nats_url), "127.0.0.1", port, asyncio.Event()))


async def answering(base_url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            try:
                async with session.get(f"{base_url}/v1/events?limit=1") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)


async def fill(url: str, events: int) -> int:
    async with await connect(url, "bench") as connection:
        await ensure_streams(connection)
        number, end = 0, 0
        while end < events:
            number += 1
            cycle = large_cycle(number, miners=MINERS, environments=ENVIRONMENTS, episodes=EPISODES)
            end = await write(JetStreamLog(connection), *cycle)
        return end


def imported(path: Path) -> Measured:
    with running() as mirror:
        return measured(partial(from_file, mirror.url, path))


def one_round(nats_url: str, folder: Path) -> dict[str, Measured]:
    """Each line once, and the API's own memory."""
    plain, packed = folder / "log.ndjson", folder / "log.ndjson.gz"
    found = {
        "read": measured(partial(raw, nats_url)),
        "file": measured(partial(to_file, nats_url, plain)),
        "file, gzip": measured(partial(to_file, nats_url, packed)),
    }
    for name, encoding in (("HTTP", "identity"), ("HTTP, gzip", "gzip")):
        with serving(nats_url) as (base_url, pid):
            found[name] = measured(partial(over_http, base_url, plain, encoding))
            found[f"{name}: the API"] = Measured(found[name].events_per_s, peak_mib(pid))
    return found | {"import": imported(plain), "import, gzip": imported(packed)}


def measure(events: int, rounds: int) -> tuple[int, list[dict[str, Measured]]]:
    with running() as nats, tempfile.TemporaryDirectory(prefix="kinitro-bench-") as folder:
        end = uvloop.run(fill(nats.url, events))
        return end, [one_round(nats.url, Path(folder)) for _ in range(rounds)]


def main() -> None:
    events = int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS
    fewer, (small,) = measure(events // SMALLER, 1)
    more, rounds = measure(events, ROUNDS)
    print(f"{'':22}{'events/s':>10}{'of reading':>12}{f'MiB at {fewer:,}':>18}{f'MiB at {more:,}':>18}")
    for name in rounds[0]:
        rate = statistics.median(it[name].events_per_s for it in rounds)
        ratio = statistics.median(it[name].events_per_s / it["read"].events_per_s for it in rounds)
        peak = max(it[name].peak_mib for it in rounds)
        print(f"{name:22}{rate:10,.0f}{ratio:12.2f}{small[name].peak_mib:18,.0f}{peak:18,.0f}")


if __name__ == "__main__":
    main()
