"""A whole cycle on a server with accounts and TLS, each role a process of its own with its own user and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from api.commands import ApiOptions
from consumers.commands import ExecutorOptions
from events.cli import environment
from events.connection import Connection, Refused, connect
from events.ids import CycleId
from events.jetstream import JetStreamLog
from events.permissions import OPERATOR, REQUESTS
from producers.cycles.results import signed
from tests.eventually import eventually
from tests.fixtures.guarded import GuardedNats, guarded, password_of
from tests.fixtures.http import Api
from tests.fixtures.ports import free_port
from tests.system.backends import Command, command, new_home
from tests.system.cycles import CYCLE, CYCLE_S, Subnet
from tests.system.reading import assert_served, projected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def server() -> Iterator[GuardedNats]:
    with guarded(tls=True) as running:
        yield running


async def test_a_cycle_ends_with_each_role_under_its_own_user(
    server: GuardedNats, subnet: Subnet, database_url: str
) -> None:
    address = ApiOptions(host="127.0.0.1", port=free_port())
    executor = ExecutorOptions(workers=1, episodes_in_flight=4, allow_private_endpoints=True)
    small = replace(subnet.cycles, environments="metaworld/reach-v3", episodes_per_env=1)
    cycles = environment(subnet.network, small, subnet.verification)
    async with AsyncExitStack() as stack:

        async def role(name: str, user: str, variables: Mapping[str, str]) -> Command:
            return await stack.enter_async_context(_role(server, name, user, variables))

        read_side = {"KINITRO_BACKEND_DATABASE_URL": database_url}
        connection = await stack.enter_async_context(await connect(server.url(OPERATOR), "test"))
        log = JetStreamLog(connection)
        running = [await role("scheduler", "scheduler", cycles)]
        await eventually(lambda: _is_there(connection, REQUESTS), 60)  # the last that it creates
        running.append(await role("executor", "worker", environment(executor)))
        running.append(await role("projector", "projector", read_side))
        running.append(await role("api", "api", read_side | environment(address)))
        async with asyncio.timeout(CYCLE_S):
            await signed(log, CycleId(CYCLE))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)))
        api = Api(f"http://127.0.0.1:{address.port}", session)
        await projected(api)
        await assert_served(api, log)
        assert server.violations == []
        for process in running:
            assert "secret-of" not in process.output
            process.interrupt()
            assert await process.status() in (0, 130)


async def _is_there(connection: Connection, stream: str) -> bool:
    try:
        await connection.api(f"STREAM.INFO.{stream}")
    except Refused:
        return False
    return True


@asynccontextmanager
async def _role(server: GuardedNats, name: str, user: str, variables: Mapping[str, str]) -> AsyncIterator[Command]:
    bare = server.url(user).partition("?")[0]
    at = {"KINITRO_BACKEND_NATS_URL": bare, "KINITRO_BACKEND_NATS_CA_FILE": str(server.ca_file)}
    assert password_of(user) in bare
    with new_home() as home:
        async with command(home, name, **at, **variables) as process:
            yield process
