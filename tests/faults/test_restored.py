"""The log goes backwards: yesterday's backup is put back, or a file of it is cut off.

What was in the log and is no more is lost, whatever this program does. Everybody who has seen more than there is must
say so before anything is derived from it; and the remedy must work: `kinitro replay --force`, after which the
cycle goes on from what there is, and comes to the same.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from events.stream_settings import EVENTS
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.stage import Stage, stage
from tests.system.cycles import Result, Subnet
from tests.system.reading import projected

REMEDY = "kinitro replay --force"
CUT_BYTES = 1_500
"""Of the end of the log's last file: an outcome or two, and the first of them in its middle."""


async def test_log_restored_from_yesterday(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            store, yesterday = it.log_directory / "store", it.home / "yesterday"
            await it.under_way(1)
            await asyncio.to_thread(it.nats.kill)
            shutil.copytree(store, yesterday)
            await asyncio.to_thread(it.nats.start)
            seen = await seen_by_all(it)
            await asyncio.to_thread(it.nats.kill)
            shutil.rmtree(store)
            yesterday.rename(store)
            await asyncio.to_thread(it.nats.start)
            lost = seen - await it.log.last_sequence()
            await refused(it)
            release()
            await mended(it, undisturbed)
    tell(f"events lost: {lost}; projector and scheduler refuse, /readyz 503; after {REMEDY} the same weights")


async def test_truncated_log_file(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        async with stage(subnet) as it:
            seen = await seen_by_all(it)
            await asyncio.to_thread(it.nats.kill)
            cut_off(it.log_directory / "store")
            await asyncio.to_thread(it.nats.start)
            lost = seen - await it.log.last_sequence()
            await refused(it)
            release()
            await mended(it, undisturbed)
    tell(f"events lost: {lost}; projector and scheduler refuse, /readyz 503; after {REMEDY} the same weights")


async def seen_by_all(it: Stage) -> int:
    """Where the log ends, and everybody knows of its events, now that some episodes have ended."""
    await it.under_way(6)
    end = await it.log.last_sequence()
    await projected(it.api)
    return end


def cut_off(store: Path) -> None:
    """What a file system may leave of the newest file of the log."""
    newest = max(store.glob(f"**/{EVENTS}/msgs/*.blk"), key=lambda path: int(path.stem))
    with newest.open("r+b") as file:
        file.truncate(newest.stat().st_size - CUT_BYTES)


async def refused(it: Stage) -> None:
    """Returns once those who have seen more of the log than there is have said so, and nothing is ready."""
    async with it.telling():
        await it.role("projector").says(REMEDY)
        await it.role("scheduler").says("seen already")
        await eventually(lambda: all_stopped(it))


async def all_stopped(it: Stage) -> bool:
    status, parts = await it.health()
    return status == 503 and all(part.startswith("projection ") for part in parts)


async def mended(it: Stage, undisturbed: Result) -> None:
    """As an operator would: the cycle goes on already; the read models begin anew, with whatever was lost."""
    it.look_anew()
    await it.kinitro("replay", "--force")
    await it.ended_as(undisturbed)
    await it.read_models_right()
