"""The supervised group starts children again that were killed; `tests/faults/` kills everybody, at any moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.system import processes
from tests.system.backends import SLOTS, backend, new_home
from tests.system.cycles import (
    CYCLE_S,
    Result,
    Subnet,
    all_slots_taken,
    log_of,
    plan_and_seed,
    result_of,
    scored,
    some_outcomes,
    tried_again,
)
from tests.system.reading import assert_served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

VICTIMS = ("kinitro.py executor", "kinitro.py scheduler", "/postgres -D ")
"""A child that has children of its own, one that has none, and a server."""


async def test_killed_children_are_started_again_and_change_nothing(subnet: Subnet, undisturbed: Result) -> None:
    with new_home() as home, subnet.held() as release:
        await plan_and_seed(home, subnet)
        async with backend(home, subnet) as (running, api), log_of(home) as log, asyncio.timeout(CYCLE_S):
            await some_outcomes(log)
            await all_slots_taken(log, SLOTS)
            for words in VICTIMS:
                victim = processes.child(home, words)
                victim.kill()
                await another(home, words, than=victim)
            release()
            await scored(log)
            assert await result_of(log) == undisturbed
            assert await tried_again(log) > 0, "the executor ran no episode when it was killed"
            await assert_served(api, log)
            await running.stop()


async def another(home: Path, words: str, *, than: processes.Process) -> None:
    """Returns once another process runs that command."""

    def runs() -> bool:
        found = [it for it in processes.of_home(home) if words in it.command]
        return bool(found) and min(found, key=lambda it: it.pid) != than

    await eventually(runs)
