"""Trying again: a bounded time, with pauses that grow and are never in step with anybody else's."""

from __future__ import annotations

import asyncio
import random
import time

PAUSE_MIN_S = 0.02
PAUSE_MAX_S = 1.0


class Patience:
    """Time to go on trying, counted from its creation."""

    def __init__(self, limit_s: float) -> None:
        self._deadline = time.monotonic() + limit_s
        self._pause_s = PAUSE_MIN_S

    @property
    def left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    async def pause(self) -> bool:
        """Waits before the next try. False if the time is up."""
        await asyncio.sleep(min(self.left_s, self._pause_s * random.uniform(0.5, 1.0)))
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        return self.left_s > 0
