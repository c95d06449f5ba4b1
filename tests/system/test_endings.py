"""However the group ends in the middle of a cycle, nothing stays behind, and the next start continues the cycle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from events.cycles import CyclePlanned
from events.server import EmbeddedNats
from events.weights import WeightsComputed
from sim.runtime.embedded import run_or_join
from tests.fixtures.ports import free_port
from tests.system import processes
from tests.system.backends import Command, backend, command, gone, new_home
from tests.system.cycles import (
    CYCLE,
    CYCLE_S,
    Result,
    Subnet,
    all_events,
    log_of,
    plan_and_seed,
    result_of,
    scored,
    some_outcomes,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]


async def test_a_backend_started_at_once_after_kill_9_continues_the_cycle(
    subnet: Subnet, undisturbed: Result
) -> None:
    port = free_port()
    with new_home() as home:
        await plan_and_seed(home, subnet)
        async with backend(home, subnet, port) as (running, _):
            async with log_of(home) as log, asyncio.timeout(CYCLE_S):
                await some_outcomes(log)
            group = processes.of_home(home)
            running.kill()
            await running.status()
            async with backend(home, subnet, port) as (again, _):
                await gone(group)
                async with log_of(home) as log, asyncio.timeout(CYCLE_S):
                    await scored(log)
                    assert await result_of(log) == undisturbed
                await again.stop()


async def test_a_killed_demo_leaves_nothing_and_the_next_one_continues_its_cycle() -> None:
    with new_home() as home:
        async with _demo_in_mid_cycle(home) as running:
            group = processes.of_home(home)
            running.kill()
            await gone(group)
        await _demo_continues(home)


async def test_an_interrupted_demo_ends_cleanly_and_the_next_one_continues_its_cycle() -> None:
    with new_home() as home:
        async with _demo_in_mid_cycle(home) as running:
            await running.stop()
        await _demo_continues(home)


DEMO = ("demo", "--episodes", "2", "--workers", "2", "--no-keep")


@asynccontextmanager
async def _demo_in_mid_cycle(home: Path) -> AsyncIterator[Command]:
    async with command(home, *DEMO, "--port", str(free_port())) as running:
        async with asyncio.timeout(CYCLE_S):
            await running.says(f"cycle {CYCLE}: ")
            async with log_of(home) as log:
                await some_outcomes(log)
        yield running


async def _demo_continues(home: Path) -> None:
    async with command(home, *DEMO, "--port", str(free_port())) as again, asyncio.timeout(CYCLE_S):
        assert await again.status() == 0, again.output
        assert f"Cycle {CYCLE} at block" in again.output
        assert processes.of_home(home) == []
    async with run_or_join("nats", EmbeddedNats(home), home), log_of(home) as log:
        kinds = [type(it.event) for it in await all_events(log)]
    assert kinds.count(CyclePlanned) == kinds.count(WeightsComputed) == 1
