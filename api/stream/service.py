"""The stream as part of the application: admits readers, tells where they begin, and ends when the server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.problems import Problem, log_unavailable
from api.settings import ApiSettings
from api.sources import LogWatch
from api.stream.ends import Stopping
from api.stream.hub import Hub, Limits
from events import subjects
from events.codec import decode
from events.ids import CycleId
from events.log import EventLog, Stored
from events.weights import WeightsComputed, WeightsWithheld

PATIENCE_S = 5.0


class Streams:
    """The hub, and the log that history is read from: over another connection, so that it does not delay the hub."""

    def __init__(self, hub: Hub, log: LogWatch, timeout_s: float) -> None:
        self.hub = hub
        self.open_log = log.opened
        self._log, self._timeout_s = log, timeout_s

    def admit(self) -> None:
        """Raises `Problem` where there is no place for one more reader."""
        if self.hub.is_stopping:
            raise Stopping("this copy of the API stops; connect again").problem()
        if self.hub.is_full:
            detail = (
                f"{len(self.hub.readers)} streams are open, which is the limit of this copy of the API; try again"
            )
            raise Problem(503, "too-many-readers", "Too many readers", detail, headers={"Retry-After": "10"})

    async def after(self, position: int | None) -> int:
        """After which sequence a reader begins that asks to resume after `position`; with None, after the newest.

        Raises:
            Problem: the log does not go so far, or does not answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.hub.ready()
        except TimeoutError:
            raise log_unavailable(self._timeout_s) from None
        newest = self.hub.ring.newest
        if position is None or position <= newest:
            return newest if position is None else position
        end = await self._log.ask(lambda log: log.last_sequence())
        if position <= end:
            return position
        raise Problem(
            409,
            "beyond-the-log",
            "Beyond the log",
            f"to be resumed after sequence {position}, but the log ends at {end}: it was replaced or restored, or the"
            " sequence is another log's; look at its events, and begin where yours end",
            newest_sequence=end,
        )

    async def before_latest_weights(self) -> int:
        """After which sequence the weights in force follow; the newest if there are none yet.

        Raises:
            Problem: the log does not answer.
        """
        return await self._log.ask(_before_latest_weights)


@asynccontextmanager
async def streaming(settings: ApiSettings, log: LogWatch, stopping: asyncio.Event) -> AsyncIterator[Streams]:
    """Runs the hub. All streams end when `stopping` is set, or at the end of the block."""
    source = LogWatch(settings)
    hub = Hub(lambda: source.opened(PATIENCE_S), limits=Limits(readers_max=settings.streams_max))
    tasks = {asyncio.create_task(hub.run()), asyncio.create_task(_stop(hub, stopping))}
    try:
        yield Streams(hub, log, settings.log_timeout_s)
    finally:
        hub.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await source.close()


async def _stop(hub: Hub, stopping: asyncio.Event) -> None:
    await stopping.wait()
    hub.stop()


async def _before_latest_weights(log: EventLog) -> int:
    end = await log.last_sequence()  # first: what is appended after this look comes anyway
    stored = await log.last(subjects.WEIGHTS)
    while stored is not None:
        event = decode(stored).event
        if isinstance(event, WeightsComputed):
            return stored.sequence - 1
        assert isinstance(event, WeightsWithheld)
        stored = await _weights_before(log, event.cycle)
    return end


async def _weights_before(log: EventLog, cycle: int) -> Stored | None:
    """What stands for the newest cycle before this one that has weights, computed or withheld."""
    for number in range(cycle - 1, 0, -1):
        if stored := await log.last(subjects.weights(CycleId(number))):
            return stored
    return None
