"""Waiting for a moment of the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from events.envelope import Clock

Sleep = Callable[[float], Awaitable[None]]

TICK_S = 1.0
"""The longest sleep before the clock is looked at again: it may be set meanwhile."""


async def sleep_until(moment: datetime, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
    """Returns when `clock` shows `moment` or later."""
    while (left_s := (moment - clock()).total_seconds()) > 0:
        await sleep(min(left_s, TICK_S))
