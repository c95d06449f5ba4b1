"""Durable consumers are deleted under those who pull from them."""

from __future__ import annotations

from events.connection import Refused, connect
from events.stream_settings import EVENTS, TASKS, WORKERS
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.stage import SLOTS, stage
from tests.system.cycles import Result, Subnet, all_slots_taken

DURABLES = ((TASKS, WORKERS), (EVENTS, "scoring"), (EVENTS, "signing"))


async def test_durables_deleted(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it, await connect(it.nats.url, "test") as connection:

            async def is_there(stream: str, name: str) -> bool:
                try:
                    await connection.api(f"CONSUMER.INFO.{stream}.{name}")
                except Refused:
                    return False
                return True

            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            for stream, name in DURABLES:
                await eventually(lambda: is_there(stream, name))  # noqa: B023  # awaited within the turn
                await connection.api(f"CONSUMER.DELETE.{stream}.{name}")
            release()
            await it.unharmed(undisturbed)
            assert all([await is_there(stream, name) for stream, name in DURABLES])
            assert [role for role in it.roles.values() if role.starts != 1] == []
    tell("those of the workers, of scoring and of signing: their readers made them again, the same weights")
