"""One reading of the log, for several projectors at once: to its end, or for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from events.log import EventLog, Stored
from projectors.checkpoint import verify
from projectors.feed import feeding
from projectors.projector import Projector, decoded

VERIFY_INTERVAL_S = 5.0
"""How long an idle projector waits before it looks whether log and database are still what they were."""


async def catch_up(log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event) -> None:
    """Projects what is in the log now."""
    await _pass(log, projectors, interrupt, follow=False)


async def follow(log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event) -> None:
    """Projects what is in the log and what will be, until interrupted or until all projectors have stopped."""
    await _pass(log, projectors, interrupt, follow=True)


async def _pass(log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event, *, follow: bool) -> None:
    going = [projector for projector in projectors if not projector.stopped]
    if not going:
        return
    after = min(projector.checkpoint.sequence for projector in going)
    async with feeding(log, after=after, follow=follow) as feed:
        while going and not interrupt.is_set() and not feed.ended:
            batch = await feed.next(interrupt, timeout_s=VERIFY_INTERVAL_S)
            await _verify(log, going)
            if batch:
                await _apply(going, batch)
            else:
                for projector in going:
                    await projector.confirm()
            going = [projector for projector in going if not projector.stopped]


async def _verify(log: EventLog, projectors: Sequence[Projector]) -> None:
    """Before every transaction: a log that was replaced while we followed it may go on with the very next number."""
    seen = set()
    for projector in projectors:
        if projector.checkpoint not in seen:
            await verify(log, projector.projection.name, projector.checkpoint)
            seen.add(projector.checkpoint)


async def _apply(projectors: Sequence[Projector], batch: Sequence[Stored]) -> None:
    """One transaction for each. One that fails does not cut off another in the middle of its own."""
    for stored in batch:
        if interested := [projector for projector in projectors if projector.concerns(stored.subject)]:
            recorded = decoded(stored)  # once for all, and not kept: many live objects are what costs here
            for projector in interested:
                projector.fold(stored, recorded)
    results = await asyncio.gather(*(projector.flush(batch) for projector in projectors), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
