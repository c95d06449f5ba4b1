"""One reading of the log, for several projectors at once: to its end, or for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from events.log import EventLog, Stored
from projectors.checkpoint import verify
from projectors.feed import Batch, feeding
from projectors.projector import Projector

VERIFY_INTERVAL_S = 5.0
"""How long an idle projector waits before it looks whether log and database are still what they were."""

Projected = Callable[[Sequence[Stored], float], None]
"""Is told of events that are in the read models now, and how many seconds that took. It raises nothing."""


async def catch_up(
    log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event, *, last: int | None = None
) -> None:
    """Projects what is in the log now; with `last`, up to that sequence."""
    await _pass(log, projectors, interrupt, follow=False, last=last)


async def follow(
    log: EventLog, projectors: Sequence[Projector], interrupt: asyncio.Event, *, told: Sequence[Projected] = ()
) -> None:
    """Projects what is in the log and what will be, until interrupted or until all projectors have stopped."""
    await _pass(log, projectors, interrupt, follow=True, told=told)


async def _pass(
    log: EventLog,
    projectors: Sequence[Projector],
    interrupt: asyncio.Event,
    *,
    follow: bool,
    last: int | None = None,
    told: Sequence[Projected] = (),
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
            began_s = time.monotonic()
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
            else:
                for each in told:
                    each(batch.events, time.monotonic() - began_s)
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
