"""kill -9 of any one process in the middle of a cycle changes nothing that counts."""

from __future__ import annotations

import asyncio

import pytest

from events.envelope import utc_now
from tests.system import processes
from tests.system.backends import SLOTS, backend, new_home
from tests.system.cycles import (
    CYCLE_S,
    Result,
    Subnet,
    all_slots_taken,
    ended_since,
    log_of,
    plan_and_seed,
    result_of,
    scored,
    some_outcomes,
    tried_again,
)
from tests.system.reading import assert_served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

COMMANDS = {
    "worker": "kinitro.py worker ",
    "executor": "kinitro.py executor",
    "conductor": "kinitro.py scheduler",
    "projector": "kinitro.py projector",
    "api": "kinitro.py api",
    "nats": "/nats-server -c ",
    "postgres": "/postgres -D ",
}
RUNNING_EPISODES = {"worker", "executor"}
"""Whose end costs an attempt of each episode that was running."""


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_killed_child_changes_no_outcome_and_no_weight(
    name: str, subnet: Subnet, undisturbed: Result
) -> None:
    with new_home() as home, subnet.held() as release:
        await plan_and_seed(home, subnet)
        async with backend(home, subnet) as (running, api), log_of(home) as log, asyncio.timeout(CYCLE_S):
            await some_outcomes(log)
            await all_slots_taken(log, SLOTS)
            victim = processes.child(home, COMMANDS[name])
            killed_at = utc_now()
            victim.kill()
            release()
            await scored(log)
            assert await ended_since(log, killed_at) > 0, "the cycle was over before the kill"
            assert await result_of(log) == undisturbed
            assert name not in RUNNING_EPISODES or await tried_again(log) > 0, "it ran no episode when it was killed"
            await assert_served(api, log)
            await running.stop()
