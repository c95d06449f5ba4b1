"""Exports that do not come to their end: both sides see it, and nothing is held for a reader that has gone."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from api.settings import ApiSettings
from api.sources import EXPORTS_MAX
from events.connection import Connection, connect
from events.export_api import ApiTrouble, fetch_log
from events.jetstream import JetStreamLog
from events.stream_settings import EVENTS
from events.streams import ensure_streams
from tests.controls.cycles import large_cycle
from tests.eventually import eventually
from tests.fixtures.http import NOWHERE, Api, patient_settings, serving
from tests.fixtures.nats import NatsProcess
from tests.fixtures.projecting import write

pytestmark = pytest.mark.usefixtures("no_mistake_logged")


@pytest.fixture
def no_mistake_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """uvicorn logs an error where an application breaks its contract, with a traceback where it raises."""
    yield
    assert mistakes(caplog.get_records("call")) == []


@pytest.fixture
async def much(event_log: JetStreamLog) -> None:
    """More than sockets hold."""
    await write(event_log, *large_cycle(1, miners=50, environments=8, episodes=50))


@pytest.fixture
async def impatient(nats_server: NatsProcess, event_log: JetStreamLog) -> AsyncIterator[Api]:
    """It leaves a reader soon, but not before a test has seen that all are being served."""
    settings = replace(patient_settings(NOWHERE, nats_server.url), export_stall_s=5.0)
    async with serving(settings) as api:
        await eventually(api.exports)
        yield api


@pytest.mark.usefixtures("much")
async def test_readers_that_stand_still_make_room_for_others(impatient: Api, nats: Connection) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(slow_reader(impatient)) for _ in range(EXPORTS_MAX + 1)]
        statuses = [await asyncio.to_thread(reader.recv, 12, socket.MSG_PEEK) for reader in readers]
        assert sorted(statuses) == [b"HTTP/1.1 200"] * EXPORTS_MAX + [b"HTTP/1.1 503"]
        await none_under_way(nats)
        assert await impatient.exports()
        for reader in readers:
            assert b"kinitro_trailer" not in await asyncio.to_thread(drained, reader)


@pytest.mark.usefixtures("much")
async def test_what_a_reader_has_not_taken_is_dropped(impatient: Api, nats: Connection) -> None:
    """A closed connection that still has to send holds its memory for as long as the reader likes."""
    with slow_reader(impatient) as reader:
        await asyncio.to_thread(begin, reader)
        await none_under_way(nats)
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(read_on, reader)


@pytest.mark.usefixtures("much")
async def test_a_reader_that_takes_a_byte_at_a_time_is_left(impatient: Api, nats: Connection) -> None:
    with slow_reader(impatient) as reader:
        await asyncio.to_thread(begin, reader)

        async def left() -> bool:
            await asyncio.to_thread(reader.recv, 1)
            return await exports(nats) == 0

        await eventually(left)


@pytest.mark.usefixtures("much")
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_reader_that_goes_away_takes_everything_with_it(
    impatient: Api, nats: Connection, encoding: str
) -> None:
    with slow_reader(impatient, encoding) as reader:
        await asyncio.to_thread(begin, reader)
    await none_under_way(nats)
    assert await impatient.exports()


async def test_a_server_that_stops_breaks_off_what_is_not_taken(
    nats_server: NatsProcess, event_log: JetStreamLog, caplog: pytest.LogCaptureFixture
) -> None:
    await write(event_log, *large_cycle(1, miners=50, environments=8, episodes=50))
    with ExitStack() as stack:
        async with serving(ApiSettings(database_url=NOWHERE, nats_url=nats_server.url)) as api:
            await eventually(api.exports)
            reader = stack.enter_context(slow_reader(api))
            await asyncio.to_thread(begin, reader)
        assert b"kinitro_trailer" not in await asyncio.to_thread(drained, reader)
    (told,) = mistakes(caplog.get_records("call"))
    assert told.getMessage().startswith("Cancel 1 running task(s)")
    assert told.exc_info is None
    caplog.clear()


async def test_when_the_log_goes_away_the_stream_breaks_off_without_a_trailer(nats_alone: NatsProcess) -> None:
    received = bytearray()
    async with serving_alone(nats_alone) as api, api.session.get(f"{api.base_url}/v1/cycles/1/events") as answer:
        received += await answer.content.readany()
        nats_alone.kill()
        with pytest.raises(aiohttp.ClientPayloadError):
            await receive(answer, received)
    assert b"kinitro_trailer" not in received


async def test_a_client_is_told_that_the_log_went_away(nats_alone: NatsProcess) -> None:
    async with serving_alone(nats_alone) as api, aiohttp.ClientSession() as session:
        with pytest.raises(ApiTrouble, match=r"after \d+ events.*; try again"):
            await fetch_log(session, api.base_url, 0, Killing(nats_alone))


def mistakes(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    return [record for record in records if record.name.startswith("uvicorn") and record.levelno >= logging.ERROR]


class Killing(io.BytesIO):
    """Something to write to, at which the log goes away."""

    def __init__(self, nats: NatsProcess) -> None:
        super().__init__()
        self._nats = nats

    def write(self, piece: Any) -> int:
        self._nats.kill()
        return super().write(piece)


@asynccontextmanager
async def serving_alone(nats: NatsProcess) -> AsyncIterator[Api]:
    async with await connect(nats.url, "tests") as connection:
        await ensure_streams(connection)
        await write(JetStreamLog(connection), *large_cycle(1, miners=50, environments=8, episodes=100))
    async with serving(ApiSettings(database_url=NOWHERE, nats_url=nats.url, export_stall_s=1.0)) as api:
        await eventually(api.exports)
        yield api


async def receive(answer: aiohttp.ClientResponse, received: bytearray) -> None:
    async for chunk in answer.content.iter_any():
        received += chunk


async def exports(nats: Connection) -> int:
    """How many go on, as the log knows it. One more consumer is that of the API's live stream."""
    return int((await nats.api(f"CONSUMER.NAMES.{EVENTS}"))["total"]) - 1


async def none_under_way(nats: Connection) -> None:
    async def reached() -> bool:
        return await exports(nats) == 0

    await eventually(reached)


@contextmanager
def slow_reader(api: Api, encoding: str = "identity") -> Iterator[socket.socket]:
    """Has asked for the whole log, and its kernel takes no more than a little of it."""
    host, port = api.base_url.removeprefix("http://").split(":")
    with socket.socket() as reader:
        reader.settimeout(60)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        reader.connect((host, int(port)))
        reader.sendall(f"GET /v1/events HTTP/1.1\r\nHost: here\r\nAccept-Encoding: {encoding}\r\n\r\n".encode())
        yield reader


def begin(reader: socket.socket) -> None:
    """Takes the head of the answer and something of the export: it is under way then."""
    received = bytearray()
    while len(received) < 2_000:
        received += reader.recv(2_000)


def drained(reader: socket.socket) -> bytes:
    """What had arrived before the server broke off."""
    received = bytearray()
    try:
        while chunk := reader.recv(1024 * 1024):
            received += chunk
    except ConnectionResetError:
        pass
    return bytes(received)


def read_on(reader: socket.socket) -> None:
    while reader.recv(1024 * 1024):
        pass
