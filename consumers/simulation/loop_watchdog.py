"""The last resort of a worker process: it ends itself when its event loop hangs.

`consumers.simulation.thread.is_stuck` notices a simulation thread that hangs, as long as the loop runs. C code that
never gives Python's lock back stops the loop as well: then nobody sends heartbeats, the episodes go to other workers,
and what is left is a process that looks alive and does nothing. Python's own watchdog thread needs no lock.
"""

from __future__ import annotations

import asyncio
import faulthandler
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LOOP_STUCK_S = 120.0
"""Far more than a lease: whatever ran here is with somebody else by then. A process that was suspended for so long
ends itself likewise when it goes on, and is started again."""
SIGNS_OF_LIFE_PER_LIMIT = 4


@asynccontextmanager
async def loop_watchdog(limit_s: float = LOOP_STUCK_S) -> AsyncIterator[None]:
    """Ends the process with status 1, and all stacks on standard error, once the loop is silent for `limit_s`."""

    async def live() -> None:
        while True:
            faulthandler.dump_traceback_later(limit_s, exit=True)
            await asyncio.sleep(limit_s / SIGNS_OF_LIFE_PER_LIMIT)

    living = asyncio.create_task(live())
    try:
        yield
    finally:
        living.cancel()
        faulthandler.cancel_dump_traceback_later()
