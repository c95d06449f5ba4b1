"""A machine is lost with all that is on it. From an export of the log and the keys, another one goes on."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.system.backends import backend, new_home, run_to_end
from tests.system.cycles import (
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
from tests.system.reading import everything, projected

pytestmark = [pytest.mark.slow, pytest.mark.timeout(700)]

KEYS = ("signing.key",)
"""What a home holds and no log does. The master key is a file of the test's, as an operator keeps it elsewhere."""


async def test_a_cycle_that_was_under_way_ends_the_same_on_another_machine(
    subnet: Subnet, undisturbed: Result, tmp_path: Path
) -> None:
    with new_home() as home:
        await plan_and_seed(home, subnet)
        with subnet.held():  # no cycle can end while its last policy is silent
            async with backend(home, subnet) as (running, _), log_of(home) as log, asyncio.timeout(CYCLE_S):
                await some_outcomes(log)
                backed_up = await back_up(home, tmp_path / "half")
                running.kill()
    with new_home() as another:
        await restore(another, backed_up)
        async with backend(another, subnet) as (running, api), log_of(another) as log, asyncio.timeout(CYCLE_S):
            await scored(log)
            assert await result_of(log) == undisturbed
            await projected(api, await log.last_sequence())
            before, events = await everything(api), await all_events(log)
            whole = await back_up(another, tmp_path / "whole")
            await running.stop()
    with new_home() as third:
        await restore(third, whole)
        async with backend(third, subnet) as (running, api), log_of(third) as log, asyncio.timeout(CYCLE_S):
            await projected(api, events[-1].sequence)
            assert await everything(api) == before
            assert (await all_events(log))[: len(events)] == events
            await running.stop()


async def back_up(home: Path, directory: Path) -> Path:
    """As docs/operations.md says: an export of the log, and the keys."""
    await asyncio.to_thread(directory.mkdir)
    await run_to_end(home, "events", "export", "--out", str(directory / "log.ndjson.gz"))
    for key in KEYS:
        shutil.copy2(home / key, directory / key)
    return directory


async def restore(home: Path, backed_up: Path) -> None:
    """Likewise: the keys, and a log made of the export, into a home in which nothing is."""
    for key in KEYS:
        shutil.copy2(backed_up / key, home / key)
    await run_to_end(home, "events", "import", str(backed_up / "log.ndjson.gz"))
