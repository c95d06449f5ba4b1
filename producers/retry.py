"""Trying again what may be tried again."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from events.patience import Patience

T = TypeVar("T")


async def retried(
    action: Callable[[], Awaitable[T]],
    on: tuple[type[Exception], ...],
    *,
    limit_s: float,
    tell: Callable[[Exception], None] = lambda _: None,
) -> T:
    """What `action` returns. When it raises one of `on`, it is tried again, with pauses, for `limit_s` in all.

    The time counts from the first failure. One that comes more than `limit_s` after the last is the first again:
    in between, the action went well.
    """
    failed_s = -float("inf")
    while True:
        try:
            return await action()
        except on as error:
            if time.monotonic() - failed_s > limit_s:
                patience = Patience(limit_s)
            tell(error)
            if not await patience.pause():
                raise
            failed_s = time.monotonic()
