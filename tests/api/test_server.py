"""Where the API listens, and how it ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.server import CannotListen, PortInUse, run_api
from api.settings import ApiSettings
from tests.fixtures.http import serving
from tests.fixtures.ports import free_port

NOWHERE = ApiSettings(database_url="postgresql://nobody@/nowhere?host=/nowhere", nats_url="nats://127.0.0.1:1")


async def test_a_port_in_use_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is in use.*--port"):
            await run_api(NOWHERE, "127.0.0.1", port, asyncio.Event())


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotListen, match="--host"):
        await run_api(NOWHERE, "192.0.2.1", free_port(), asyncio.Event())


async def test_an_open_connection_does_not_keep_it_from_ending() -> None:
    async with serving(NOWHERE) as api:
        host, port = api.base_url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /livez HTTP/1.1\r\n")  # and never the rest
        await writer.drain()
    writer.close()
