"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Returns once the condition holds; fails when it does not within the time."""
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < end, f"{condition} did not come true within {timeout_s} s"
        await asyncio.sleep(0.01)
