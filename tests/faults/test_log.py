"""The log's server dies, is away, and keeps what it did not say that it has kept.

`KINITRO_TESTS_LONG=1` keeps it away for a minute.
"""

from __future__ import annotations

import asyncio
import random
import time

from events import subjects
from tests.eventually import eventually
from tests.faults.conftest import LONG, Tell
from tests.faults.roles import Role
from tests.faults.stage import SLOTS, Stage, stage
from tests.fixtures.link import Link
from tests.system.cycles import CYCLE, Result, Subnet, all_slots_taken, scored, tried_again

AWAY_S = 60.0 if LONG else 8.0
"""Longer than a request waits for its answer, and than a lease lasts."""
NATS_URL = "KINITRO_BACKEND_NATS_URL"
OUTCOME = f"HPUB evt.cycle.{CYCLE}.episode.".encode()
SEAL = f"HPUB {subjects.seal(CYCLE)} ".encode()
LOOKS = b"$JS.API.STREAM.MSG.GET.KINITRO_EVENTS"


async def test_nats_kill_9_and_restart(subnet: Subnet, undisturbed: Result, dice: random.Random, tell: Tell) -> None:
    moments = sorted(dice.sample(range(1, len(undisturbed.outcomes)), 3))
    async with stage(subnet) as it:
        for outcomes in moments:
            await it.under_way(outcomes)
            await it.restart_nats()
        await it.unharmed(undisturbed)
        assert lives(it) == dict.fromkeys(it.roles, 1), "somebody did not live through it"
    tell(f"killed after {moments} outcomes; nobody else had to be started again, the same weights")


async def test_nats_away(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            await asyncio.to_thread(it.nats.kill)
            gone_s = time.monotonic()
            await eventually(lambda: log_is_away(it))
            assert (await it.api.get(f"/v1/cycles/{CYCLE}")).status == 200, "read models need no log"
            release()
            for worker in it.workers:  # an episode has ended; its recording is done without, its result is kept
                await worker.says("recording is not kept")
            await asyncio.sleep(gone_s + AWAY_S - time.monotonic())
            await asyncio.to_thread(it.nats.start)
            await it.unharmed(undisturbed)
            assert lives(it) == dict.fromkeys(it.roles, 1), "somebody did not live through it"
            kept = sum(worker.output.count("recording is not kept") for worker in it.workers)
            again = await tried_again(
                it.log
            )  # a lease that ran out meanwhile may be given out before the result comes
            assert again < SLOTS, "no result was kept"
    told = f"{kept} results waited for it, {again} episodes have a second attempt, the same weights"
    tell(f"{AWAY_S:g} s: /readyz 503 (log), read models answer; {told}")


async def test_publish_times_out_and_was_stored(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it, Link(it.nats.url) as to_worker, Link(it.nats.url) as to_scheduler:
            to_worker.swallows_from, to_scheduler.swallows_from = OUTCOME, SEAL
            await asyncio.gather(
                goes_over(it.role("worker-1"), to_worker), goes_over(it.role("scheduler"), to_scheduler)
            )
            await doubted(to_worker, OUTCOME)
            release()
            await doubted(to_scheduler, SEAL)
            await scored(it.log)
            await it.unharmed(undisturbed)
    tell("an outcome and the seal: looked for, found with their own ids, not appended again")


async def log_is_away(it: Stage) -> bool:
    return await it.health() == (503, ["log"])


async def goes_over(role: Role, link: Link) -> None:
    """Starts it again, with the log behind the link."""
    await role.stop()
    role.env[NATS_URL] = link.url
    role.start()


async def doubted(link: Link, append: bytes) -> None:
    """Returns once whoever made this append has waited in vain for an answer, and looks what has become of it."""
    await eventually(lambda: LOOKS in link.unanswered, 240)
    assert append in link.unanswered
    link.swallows_from, link.answers_pass = None, True


def lives(it: Stage) -> dict[str, int]:
    """How often each role was started."""
    return {name: role.starts for name, role in it.roles.items()}
