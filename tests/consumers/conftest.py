"""A real server with our streams, and workers as processes of their own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from events.codec import decode
from events.connection import Connection, Refused, connect
from events.envelope import RecordedEvent
from events.event import Event
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.stream_settings import TASKS, WORKERS
from events.streams import ensure_streams
from tests.eventually import eventually
from tests.fixtures.nats import NatsProcess

ROOT = Path(__file__).parents[2]
LEASE_S = 6.0
"""Tests wait for its end, so it is short; but a stall of the machine of half of it takes no task from its worker."""
LONG_LEASE_S = 300.0
"""For tests whose task must come back before its lease ends."""


@dataclass
class Bus:
    """A server of the test's own, with a connection of the test's own."""

    server: NatsProcess
    connection: Connection

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def log(self) -> JetStreamLog:
        return JetStreamLog(self.connection)

    @property
    def queue(self) -> JetStreamQueue:
        return JetStreamQueue(self.connection)

    async def events(self) -> list[RecordedEvent[Event]]:
        return [decode(stored) async for batch in self.log.read() for stored in batch]

    async def facts(self) -> list[Event]:
        return [recorded.event for recorded in await self.events()]

    async def tasks_held(self) -> int:
        """How many tasks are with workers."""
        info = await self.connection.api(f"CONSUMER.INFO.{TASKS}.{WORKERS}")
        return int(info["num_ack_pending"])

    async def lose_consumer(self, stream: str, name: str) -> None:
        """Deletes it as soon as it is there."""

        async def deleted() -> bool:
            with suppress(Refused):
                await self.connection.api(f"CONSUMER.DELETE.{stream}.{name}")
                return True
            return False

        await eventually(deleted)

    async def is_empty(self) -> bool:
        return await self.queue.pending() == 0


@pytest.fixture
async def bus(nats_alone: NatsProcess) -> AsyncIterator[Bus]:
    async with await connect(nats_alone.url, "test") as connection:
        await ensure_streams(connection, ack_wait_s=LEASE_S)
        yield Bus(nats_alone, connection)


@asynccontextmanager
async def worker_process(bus: Bus, name: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker started by its command line, killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "kinitro.py"), "worker", "--nats-url", bus.url, "--name", name),
        *("--allow-private-endpoints", "--lease-s", str(LEASE_S), *options),
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
