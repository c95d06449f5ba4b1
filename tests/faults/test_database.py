"""The read models' server dies, is away, and dies together with the log's.

`KINITRO_TESTS_LONG=1` keeps it away for five minutes.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.eventually import eventually
from tests.faults.conftest import LONG, Tell
from tests.faults.stage import Stage, stage
from tests.faults.test_log import lives
from tests.system.cycles import Result, Subnet

AWAY_S = 300.0 if LONG else 8.0


async def test_postgres_kill_9_and_restart(
    subnet: Subnet, undisturbed: Result, dice: random.Random, tell: Tell
) -> None:
    moments = sorted(dice.sample(range(1, len(undisturbed.outcomes)), 3))
    async with stage(subnet) as it:
        for outcomes in moments:
            await it.under_way(outcomes)
            await it.restart_postgres()
        await it.unharmed(undisturbed)
        await it.read_models_right()
        assert lives(it) == dict.fromkeys(it.roles, 1), "somebody did not live through it"
    tell(f"killed after {moments} outcomes; every row is what the log gives, the same weights")


@pytest.mark.timeout(900)
async def test_postgres_away(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    async with stage(subnet) as it:
        await it.under_way()
        before = await it.log.last_sequence()
        await asyncio.to_thread(it.postgres.kill)
        gone_s = time.monotonic()
        await eventually(lambda: database_is_away(it))
        async with it.telling():
            assert await it.finished() == undisturbed, "evaluation needs no database"
        during = await it.log.last_sequence() - before
        assert await database_is_away(it)
        assert (await it.api.get("/livez")).status == 200
        await asyncio.sleep(gone_s + AWAY_S - time.monotonic())
        await it.start_postgres()
        await it.unharmed(undisturbed)
        await it.read_models_right()
        assert lives(it) == dict.fromkeys(it.roles, 1), "somebody did not live through it"
    tell(f"at least {AWAY_S:g} s: /readyz 503 (database): {during} events and the weights without it")


async def test_nats_and_postgres_kill_9(subnet: Subnet, undisturbed: Result, dice: random.Random, tell: Tell) -> None:
    outcomes, away_s = dice.randrange(1, len(undisturbed.outcomes)), (dice.uniform(0, 4), dice.uniform(0, 4))
    async with stage(subnet) as it:
        await it.under_way(outcomes)
        await asyncio.gather(it.restart_nats(away_s[0]), it.restart_postgres(away_s[1]))
        await it.unharmed(undisturbed)
        await it.read_models_right()
    tell(f"after {outcomes} outcomes, for {away_s[0]:.1f} and {away_s[1]:.1f} s: the same weights, every row right")


async def database_is_away(it: Stage) -> bool:
    return await it.health() == (503, ["database"])
