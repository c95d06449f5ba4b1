"""Workers die, stall and come back too late."""

from __future__ import annotations

from tests.faults.conftest import Tell
from tests.faults.stage import SLOTS, stage
from tests.system.cycles import Result, Subnet, all_slots_taken, tried_again


async def test_kill_9_in_mid_episode(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            it.role("worker-1").kill()
            release()
            await it.unharmed(undisturbed)
            again = await tried_again(it.log)
            assert again > 0, "it ran no episode when it was killed"
            tell(f"the same weights; {again} episodes have a second attempt")
