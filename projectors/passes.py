"""One reading of the log, for several projectors at once: to its end, or for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from events.log import EventLog
from projectors.checkpoint import verify
from projectors.feed import Batch, feeding
from projectors.projector import Projector

VERIFY_INTERVAL_S = 5.0
"""How long an idle projector waits before it looks whether log and database are still what they were."""


async def catch_up(
    log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event, *, last: int | None = None
) -> None:
    """Projects what is in the log now; with `last`, up to that sequence."""
    await _pass(log, projectors, interrupt, follow=False, last=last)


async def follow(log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event) -> None:
    """Projects what is in the log and what will be, until interrupted or until all projectors have stopped."""
    await _pass(log, projectors, interrupt, follow=True)


async def _pass(
    log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event, *, follow: bool, last: int | None = None
) -> None:
    going = [projector for projector in projectors if not projector.stopped]
    if last is not None:
        going = [projector for projector in going if projector.checkpoint.sequence < last]
    if not going:
        return
    positions = {projector.projection: projector.checkpoint.sequence for projector in going}
    async with feeding(log, positions, follow=follow, last=last) as feed:
        while going and not interrupt.is_set() and not feed.ended:
            batch = await feed.next(interrupt, timeout_s=VERIFY_INTERVAL_S)
            verified = asyncio.create_task(_verify(log, going))
            try:
                if batch is not None:
                    await _write(going, batch, verified)
                await verified
            finally:
                verified.cancel()
            if batch is None:
                for projector in going:
                    await projector.confirm()
            going = [projector for projector in going if not projector.stopped]


async def _verify(log: EventLog, projectors: Sequence[Projector]) -> None:
    """For every transaction: a log that was replaced while we followed it may go on with the very next number."""
    seen = set()
    for projector in projectors:
        if projector.checkpoint not in seen:
            await verify(log, projector.projection.name, projector.checkpoint)
            seen.add(projector.checkpoint)


async def _write(projectors: Sequence[Projector], batch: Batch, verified: asyncio.Task[None]) -> None:
    """One transaction for each. One that fails does not cut off another in the middle of its own."""
    results = await asyncio.gather(
        *(each.write(batch.events, batch.changes(each.projection), verified) for each in projectors),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
