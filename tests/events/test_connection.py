"""When a connection is left for another server, and that nothing keeps it from being left."""

from __future__ import annotations

import asyncio

import pytest

from events import connection as connections
from events import frames
from events.connection import Connection, NoAnswer, Refused, connect
from tests.eventually import eventually
from tests.fixtures.link import Link
from tests.fixtures.nats import NatsProcess

MUCH = 40 * (b"PUB some.where 900000\r\n" + bytes(900_000) + b"\r\n")
"""More than the buffers of the system hold."""

pytestmark = pytest.mark.usefixtures("nats")


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which silence is measured."""
    ours = Clock()
    monkeypatch.setattr(connections, "time", ours)
    return ours


async def connected_by(link: Link, other: NatsProcess) -> Connection:
    """To two servers, of which `link` came first."""
    while True:  # which of the two comes first is drawn
        connection = await connect(f"{link.url},{other.url}", "by link")
        if connection.address in link.url:
            return connection
        await connection.close()


async def ask_nobody(connection: Connection) -> None:
    with pytest.raises(NoAnswer, match="nobody"):
        await connection.ask(lambda reply: frames.request("nobody.listens", reply, b""))


async def test_one_request_without_an_answer_after_long_idleness_is_no_silence(
    nats_server: NatsProcess, clock: Clock
) -> None:
    async with Link(nats_server.url) as link, await connected_by(link, nats_server) as connection:
        clock.now_s += 3_600
        await ask_nobody(connection)
        assert connection.client.is_connected


async def test_a_server_that_refuses_is_not_silent(nats_server: NatsProcess, clock: Clock) -> None:
    async with Link(nats_server.url) as link, await connected_by(link, nats_server) as connection:
        await ask_nobody(connection)
        clock.now_s += 3_600
        with pytest.raises(Refused):
            await connection.api("STREAM.INFO.NO_SUCH")
        await ask_nobody(connection)
        assert connection.client.is_connected


async def test_a_server_that_has_long_answered_nothing_is_left(nats_server: NatsProcess, clock: Clock) -> None:
    async with Link(nats_server.url) as link, await connected_by(link, nats_server) as connection:
        await ask_nobody(connection)
        clock.now_s += 3_600
        await ask_nobody(connection)
        await eventually(lambda: connection.client.is_connected and connection.address in nats_server.url)


async def test_what_a_server_no_longer_takes_does_not_keep_us_from_another(nats_server: NatsProcess) -> None:
    async with Link(nats_server.url) as link, await connected_by(link, nats_server) as connection:
        link.takes.clear()
        sending = asyncio.create_task(connection.send(MUCH))
        await asyncio.sleep(0)
        await connection.client.force_reconnect()
        async with asyncio.timeout(10):
            await eventually(lambda: connection.client.is_connected and connection.address in nats_server.url)
            await asyncio.wait({sending})
        link.takes.set()
