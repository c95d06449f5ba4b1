"""Three servers hold the log together, and one of them is lost: killed, or cut off from the other two.

The rest of the suite runs on one server. What is lost there, and comes back, is the whole log; here the log goes on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from events.connection import Connection, connect
from events.jetstream import JetStreamLog
from tests.faults.conftest import Tell
from tests.faults.stage import LEASE_S, Stage, stage
from tests.fixtures.cluster import NODES, Cluster, cluster, leader, on_hosts, on_loopback
from tests.fixtures.hosts import Host, hosts, missing
from tests.system.backends import new_home
from tests.system.cycles import CYCLE_S, Result, Subnet, scored

SILENT = "the server is silent"
"""What a role says when it leaves a server that answers nothing."""


class AllOfThem:
    """The cluster as the one server of a stage."""

    def __init__(self, servers: Cluster) -> None:
        self.servers = servers
        self.url = servers.url

    def start(self) -> None:
        for node in range(NODES):
            self.servers.start(node)

    def kill(self) -> None:
        self.servers.kill_all()


@asynccontextmanager
async def on_three(
    subnet: Subnet, among: list[Host] | None = None
) -> AsyncIterator[tuple[Stage, Cluster, Connection]]:
    """The stage on a cluster, and a connection of the test's own."""
    with new_home() as home, cluster(home, on_hosts(among) if among else on_loopback()) as servers:
        await servers.set_up(ack_wait_s=LEASE_S)
        async with (
            stage(subnet, log_server=AllOfThem(servers), replicas=NODES) as it,
            await connect(servers.url, "looks") as connection,
        ):
            yield it, servers, connection


@pytest.mark.parametrize("victim", ["leader", "follower"])
async def test_one_node_is_killed(
    victim: str, subnet: Subnet, undisturbed: Result, dice: random.Random, tell: Tell
) -> None:
    async with on_three(subnet) as (it, servers, connection):
        with subnet.held() as release:
            await it.under_way()
            first = await leader(connection)
            node = first if victim == "leader" else dice.choice([each for each in range(NODES) if each != first])
            servers.kill(node)
            release()
        await it.finished()
        servers.start(node)
        await it.unharmed(undisturbed)
        tell(f"node {node} gone until after the weights, then back; the same weights, nothing lost")


async def test_the_leader_is_cut_off_until_the_cycle_is_over(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    """It still takes connections, and knows nothing: whoever is there has to leave it."""
    if reason := missing():
        pytest.skip(reason)
    with hosts(NODES) as among:
        async with on_three(subnet, list(among)) as (it, servers, connection):
            with subnet.held() as release:
                await it.under_way()
                first = await leader(connection)
                among[first].cut_off()
                release()
            async with await connect(servers.url_without(first), "the others") as others, asyncio.timeout(CYCLE_S):
                await scored(JetStreamLog(others, patience_s=CYCLE_S))
            among[first].rejoin()
            await it.unharmed(undisturbed)
            left = sum(SILENT in role.output for role in it.roles.values())
        tell(f"node {first}, which led, cut off until after the weights; {left} roles left it; the same weights")
