"""A process whose event loop hangs ends itself, and no other does."""

from __future__ import annotations

import asyncio
import sys

from tests.consumers.conftest import ROOT

PROGRAM = """
import asyncio, ctypes, time
from consumers.simulation.loop_watchdog import loop_watchdog

async def main():
    async with loop_watchdog({limit_s}):
        {within}

asyncio.run(main())
{afterwards}
"""


async def outcome(limit_s: float, within: str, afterwards: str = "") -> tuple[int | None, str]:
    """Status and standard error of a process that does `within` under the watchdog, and `afterwards` without."""
    program = PROGRAM.format(limit_s=limit_s, within=within, afterwards=afterwards)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    return process.returncode, err.decode()


async def test_c_code_that_keeps_pythons_lock_ends_the_process() -> None:
    status, err = await outcome(0.5, "await asyncio.sleep(0); ctypes.PyDLL(None).sleep(60)")
    assert status == 1
    assert "Timeout" in err
    assert "in main" in err, "the stacks say where it hangs"


async def test_a_loop_that_runs_is_left_alone() -> None:
    assert await outcome(4.0, "await asyncio.sleep(5)") == (0, "")


async def test_what_comes_afterwards_is_not_watched() -> None:
    assert await outcome(2.0, "await asyncio.sleep(0)", "time.sleep(2.5)") == (0, "")
