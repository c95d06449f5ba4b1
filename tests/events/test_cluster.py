"""The log on three servers: the leader dies, and nothing else happens."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from events.connection import connect
from events.jetstream import JetStreamLog
from events.log import Draft, LogError, Stored
from events.server import configuration, find_binary
from events.streams import EVENTS, ensure_streams
from tests.contracts.event_log import drafts, everything
from tests.eventually import eventually
from tests.fixtures.ports import free_port

NODES = 3


class Cluster:
    """Three servers on loopback."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._clients = [free_port() for _ in range(NODES)]
        self._routes = [free_port() for _ in range(NODES)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._clients)

    def start(self, node: int) -> None:
        store, config = self._home / f"store{node}", self._home / f"node{node}.conf"
        listen = f"127.0.0.1:{self._clients[node]}"
        routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self._routes)
        config.write_text(
            configuration(server_name=f"node{node}", listen=listen, store=str(store))
            + f'cluster {{ name: kinitro, listen: "127.0.0.1:{self._routes[node]}", routes: [{routes}] }}\n'
        )
        with (self._home / f"output{node}").open("ab") as output:
            self._processes[node] = subprocess.Popen([find_binary(), "-c", config], stdout=output, stderr=output)

    def kill(self, node: int) -> None:
        process = self._processes.pop(node)
        process.kill()
        process.wait(timeout=60)

    def kill_all(self) -> None:
        for node in list(self._processes):
            self.kill(node)


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(home)
    try:
        for node in range(NODES):
            cluster.start(node)
        yield cluster
    finally:
        cluster.kill_all()


async def set_up(cluster: Cluster) -> bool:
    """False while the servers have not yet found each other."""
    try:
        async with await connect(cluster.url, "set up") as connection:
            await ensure_streams(connection, replicas=NODES)
    except LogError:
        return False
    return True


@pytest.mark.slow
async def test_a_dead_leader_costs_no_acknowledged_event(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await eventually(lambda: set_up(cluster), timeout_s=60)
        async with await connect(cluster.url, "writer") as writing, await connect(cluster.url, "reader") as reading:
            log, other = JetStreamLog(writing), JetStreamLog(reading)
            acknowledged: dict[int, Draft] = {}
            followed: list[Stored] = []

            stopping = asyncio.Event()

            async def write() -> None:
                number = 0
                while not stopping.is_set():
                    number += 1
                    batch = drafts(1 + number % 3, prefix=f"evt.{number}")
                    acknowledged.update(zip(await log.append(batch), batch, strict=True))
                    last = await log.last(batch[-1].subject)
                    assert last is not None, "reads its own writes"

            async def follow() -> None:
                async with aclosing(other.follow()) as batches:
                    async for batch in batches:
                        followed.extend(batch)

            async with asyncio.TaskGroup() as group:
                writer, follower = group.create_task(write()), group.create_task(follow())
                await eventually(lambda: len(acknowledged) > 100)
                leader = (await reading.api(f"STREAM.INFO.{EVENTS}"))["cluster"]["leader"]
                cluster.kill(int(leader.removeprefix("node")))
                before = len(acknowledged)
                await eventually(lambda: len(acknowledged) > before + 100, timeout_s=60)
                stopping.set()
                await writer
                await eventually(lambda: len(followed) >= len(acknowledged))
                follower.cancel()

            expected = [Stored(sequence, it.subject, it.body) for sequence, it in sorted(acknowledged.items())]
            assert await everything(other) == expected
            assert followed == expected
