"""The database holds nothing that the log does not: replayed or gone, it comes back byte for byte."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from tests.system.backends import backend, new_home, run_to_end
from tests.system.cycles import CYCLE_S, Subnet, log_of, plan_and_seed, scored
from tests.system.reading import everything, projected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]


async def test_a_replayed_and_a_lost_database_give_the_same_answers(subnet: Subnet) -> None:
    with new_home() as home:
        await plan_and_seed(home, subnet)
        async with backend(home, subnet) as (running, api), log_of(home) as log, asyncio.timeout(CYCLE_S):
            await scored(log)
            await projected(api)
            before = await everything(api)
            await run_to_end(home, "replay")
            await projected(api)
            assert await everything(api) == before
            await running.stop()
        shutil.rmtree(home / "postgres")
        async with backend(home, subnet) as (running, api):
            await projected(api)
            assert await everything(api) == before
            await running.stop()
