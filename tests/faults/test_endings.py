"""Everything is told to end at once, under load."""

from __future__ import annotations

import asyncio

from tests.faults.conftest import Tell
from tests.faults.stage import SLOTS, stage
from tests.fixtures.nats import NatsProcess
from tests.system.cycles import Result, Subnet, all_slots_taken


async def test_sigterm_of_everything_under_load(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            release()
            assert isinstance(it.nats, NatsProcess)
            began = asyncio.get_running_loop().time()
            roles = asyncio.gather(*(role.stop() for role in it.roles.values()))
            servers = asyncio.gather(*(asyncio.to_thread(each.terminate) for each in (it.nats, it.postgres)))
            statuses = dict(zip((*it.roles, "nats", "postgres"), (*await roles, *await servers), strict=True))
            took_s = asyncio.get_running_loop().time() - began
            assert set(statuses.values()) == {0}, statuses
            await asyncio.gather(asyncio.to_thread(it.nats.start), it.start_postgres())
            for role in it.roles.values():
                role.start()
            await it.unharmed(undisturbed)
            tell(f"all 7 ended with status 0, the last after {took_s:.0f} s; started again, the same weights")
