"""The simulation thread of a process, and whether it still answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from sim.stage import SimulationThread

CLOSE_S = 10.0
"""How long the simulation thread may take to close what it holds."""
STUCK_S = 30.0
"""How long it may be silent before it is taken to be stuck."""

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def simulation_thread() -> AsyncIterator[SimulationThread]:
    """Closed in the end, unless it hangs."""
    stage = SimulationThread()
    try:
        yield stage
    finally:
        try:
            async with asyncio.timeout(CLOSE_S):
                await stage.close()
        except TimeoutError:
            log.exception("the simulation thread does not close", waited_s=CLOSE_S)


async def is_stuck(stage: SimulationThread, stuck_s: float = STUCK_S) -> bool:
    """Whether it answers nothing any more: only another process can go on."""
    try:
        async with asyncio.timeout(stuck_s):
            await stage.run(int)
    except TimeoutError:
        return True
    return False


@asynccontextmanager
async def either(*events: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """An event that is set as soon as one of these is."""
    first = asyncio.Event()

    async def forward(event: asyncio.Event) -> None:
        await event.wait()
        first.set()

    forwarders = [asyncio.create_task(forward(event)) for event in events]
    try:
        yield first
    finally:
        for forwarder in forwarders:
            forwarder.cancel()
