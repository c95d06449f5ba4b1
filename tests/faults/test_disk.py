"""The disk under the log is full, in the middle of a cycle. Needs to mount a small file system, and so to be root."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events import subjects
from events.stream_settings import TraceLimits
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.stage import SLOTS, Stage, stage
from tests.faults.verdict import outcomes_told
from tests.system.cycles import CYCLE, Result, Subnet, all_slots_taken, ended_since, tried_again

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SIZE = "64m"
TRACES = TraceLimits(bytes_max=1_000_000)
"""The server wants the room for all of them free from the start."""


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of its own at this directory, for as long as this is open."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "kinitro-test", str(directory)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted, which takes root and mount(8): {error}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


async def test_disk_full(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:
        small = stage(
            subnet, log_on=small_disk, traces=TRACES, KINITRO_EXECUTOR_TRACE_BYTES_MAX=str(TRACES.bytes_max)
        )
        async with small as it, it.telling():
            await it.under_way()
            await all_slots_taken(it.log, SLOTS)
            filler = it.log_directory / "filler"
            fill(filler)
            release()
            await eventually(lambda: takes_no_appends(it))
            assert (await it.api.get(f"/v1/cycles/{CYCLE}/episodes")).status == 200, "what there is can be read"
            assert await outcomes_told(it.workers, it.log) == await ended_since(it.log, LONG_AGO)
            assert await it.log.last(subjects.seal(CYCLE)) is None
            filler.unlink()
            await it.restart_nats()  # the server takes no more appends to this stream until it is started again
            await it.unharmed(undisturbed)
            await eventually(lambda: is_ready(it))
            assert await tried_again(it.log) == 0, "a result was not kept"
    tell("/readyz 503, acknowledged is what is stored; with room and the server started again, same weights")


def fill(path: Path) -> None:
    """Writes until there is no byte left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


async def takes_no_appends(it: Stage) -> bool:
    answer = await it.api.get("/readyz")
    return answer.status == 503 and answer.json["log"] == "read-only"


async def is_ready(it: Stage) -> bool:
    return await it.health() == (200, [])
