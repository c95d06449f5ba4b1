"""A deadline that a busy worker cannot make a policy miss."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

LOOKS = 8
"""How often the loop still looks for input after the deadline. A complete answer takes two or three."""


class DeadlinePassed(Exception):
    """What was waited for had not arrived when the deadline passed."""


class Deadline:
    """`async with Deadline(seconds)`: cancels the body after this time, and raises `DeadlinePassed` instead.

    Unlike `asyncio.timeout`, which cancels even if the answer lies in the socket's buffer because the loop
    was late, it first lets the loop read what has arrived.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False
        self._left = False

    async def __aenter__(self) -> Deadline:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a deadline needs a task to cancel"
        self._task = task
        self._cancellations = task.cancelling()
        self._wait(self._seconds)
        return self

    def restart(self, seconds: float) -> None:
        """Count these seconds from now, instead of what was counted before. Too late, it changes nothing."""
        if not (self._passed or self._left):
            self._handle.cancel()
            self._wait(seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self._handle.cancel()
        if not self._passed:
            return
        cancelled_by_us_alone = self._task.uncancel() <= self._cancellations
        if cancelled_by_us_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise DeadlinePassed from error

    def _wait(self, seconds: float) -> None:
        self._due_s = time.monotonic() + seconds
        self._handle: asyncio.Handle = self._loop.call_later(seconds, self._wake)

    def _wake(self) -> None:
        early_s = self._due_s - time.monotonic()  # the loop's timers count whole milliseconds
        if early_s > 0:
            self._handle = self._loop.call_later(early_s + 0.001, self._wake)
        else:
            self._look(LOOKS)

    def _look(self, left: int) -> None:
        if left:
            self._handle = self._loop.call_soon(self._look, left - 1)
        else:
            self._passed = True
            self._task.cancel()
