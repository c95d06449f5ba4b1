"""When cycles begin: one after another, at an interval, for ever; or until a certain one has ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from events import subjects
from events.chain.trouble import ChainTrouble
from events.codec import decode_as
from events.cycles import CyclePlanned
from events.envelope import Clock, RecordedEvent, utc_now
from events.ids import CycleId
from events.log import Conflict, EventLog, LogUnavailable
from events.miners import MinerCommitmentChanged, MinerCommitmentRejected, MinerDeparted, MinerDiscovered
from events.newest import newest_cycle
from events.queue import QueueUnavailable, TaskQueue
from producers.blocks import BlockSource
from producers.clock import sleep_until
from producers.cycles.conductor import RETRY_S, conduct
from producers.cycles.errors import ChainAway, NothingToEvaluate
from producers.cycles.failures import Failures
from producers.cycles.settings import SchedulerSettings
from producers.cycles.state import CycleEnd
from producers.discovery.condition import Condition
from producers.discovery.discovery import Discovery, StaleSnapshot
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.source import MinerSource, SourceTrouble
from producers.progress import CycleIdle, CyclePending, DiscoveryTrouble, MinersChanged, Report, Retrying
from producers.retry import retried

T = TypeVar("T")


async def run_scheduler(
    *,
    log: EventLog,
    queue: TaskQueue,
    blocks: BlockSource,
    miners: MinerSource,
    settings: SchedulerSettings,
    report: Report,
    clock: Clock = utc_now,
) -> None:
    """Discovers miners and conducts cycles until it is cancelled. Any number of schedulers may run at once.

    A cycle that is under way is continued first. The next one begins `eval_interval_s` after the last one's plan, so
    that a restart keeps the rhythm.

    Raises:
        CycleError, LogUnavailable, QueueUnavailable, CodecError: as `conduct`; start it again once mended.
    """
    scheduler = _Scheduler(log, queue, blocks, miners, settings, report, clock)
    await scheduler.discover()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(scheduler.discover_for_ever())
            group.create_task(scheduler.cycle_for_ever())
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def run_cycle_once(
    until_cycle: CycleId,
    *,
    log: EventLog,
    queue: TaskQueue,
    blocks: BlockSource,
    miners: MinerSource,
    settings: SchedulerSettings,
    report: Report,
    clock: Clock = utc_now,
) -> RecordedEvent[CycleEnd]:
    """Conducts cycles, without waiting between them, until this one has ended; returns its end.

    Called again with the same number, after a crash or not, it goes on where the log stands, and never further.
    Miners are discovered before each plan. `newest_cycle` tells which number would be the next.

    Raises:
        NothingToEvaluate, ChainAway: a cycle cannot be planned.
        CycleError, LogUnavailable, QueueUnavailable, CodecError: as `conduct`.
    """
    scheduler = _Scheduler(log, queue, blocks, miners, settings, report, clock)
    while True:
        newest = await scheduler.newest()
        running = newest > 0 and not await scheduler.has_ended(newest)
        if newest < until_cycle and not running:
            await scheduler.tidy_up(newest)
            await scheduler.discover()
        cycle = min(until_cycle, newest if running else CycleId(newest + 1))
        end = await scheduler.conduct(cycle)
        if cycle == until_cycle:
            return end


class _Scheduler:
    def __init__(
        self,
        log: EventLog,
        queue: TaskQueue,
        blocks: BlockSource,
        miners: MinerSource,
        settings: SchedulerSettings,
        report: Report,
        clock: Clock,
    ) -> None:
        self._log = log
        self._queue = queue
        self._blocks = blocks
        self._settings = settings
        self._report = report
        self._clock = clock
        self._discovery = Discovery(miners, log, key=settings.endpoint_key, clock=clock)
        self._condition = Condition(log, clock=clock)
        self._failures = Failures()
        self._looking = asyncio.Lock()
        self._trouble = ""

    async def discover_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.discovery_interval_s)
            await self.discover()

    async def discover(self) -> None:
        """Looks once. Trouble is reported when it is new; the next look may be better."""
        with suppress(SourceTrouble, ChainTrouble, Conflict, LogUnavailable):
            await self._look()

    async def _subnet(self) -> MetagraphSnapshot:
        """The subnet of now, with its miners in the log as they are there."""
        await self._look()
        found = self._discovery.snapshot
        assert found is not None, "a look that raises nothing has a snapshot"
        assert found.metagraph is not None, "the settings name a netuid, so miners come from a chain"
        return found.metagraph

    async def _look(self) -> None:
        async with self._looking:
            await self._discover()

    async def _discover(self) -> None:
        try:
            appended = await self._discovery.poll()
        except (SourceTrouble, ChainTrouble, Conflict, LogUnavailable) as error:
            if str(error) != self._trouble:
                self._report(DiscoveryTrouble(str(error)))
            self._trouble = str(error)
            if self._settings.netuid is not None and isinstance(error, ChainTrouble | StaleSnapshot):
                await self._condition.degraded(error)
            raise
        self._trouble = ""
        if self._settings.netuid is not None and self._discovery.snapshot is not None:
            await self._condition.good(self._discovery.snapshot.block)
        if appended:
            kinds = Counter(type(event) for event in appended)
            told = (MinerDiscovered, MinerCommitmentChanged, MinerDeparted, MinerCommitmentRejected)
            self._report(MinersChanged(*(kinds[kind] for kind in told)))

    async def cycle_for_ever(self) -> None:
        await self.tidy_up(await self.newest())
        while True:
            newest = await self.newest()
            if newest > 0 and not await self.has_ended(newest):
                await self.conduct(newest)
                continue
            if newest > 0:
                await self._interval_after(newest)
            try:
                await self.conduct(CycleId(newest + 1))
            except (NothingToEvaluate, ChainAway) as idle:
                self._report(CycleIdle(CycleId(newest + 1), str(idle)))
                await asyncio.sleep(self._settings.discovery_interval_s)

    async def tidy_up(self, newest: CycleId) -> None:
        """Drops the tasks of an ended cycle, which are left over if its conductor died just after the end."""
        if newest > 0 and await self.has_ended(newest):
            await self._asked(lambda: self._queue.purge_cycle(newest))

    async def _interval_after(self, newest: CycleId) -> None:
        begins = await self._planned_at(newest) + timedelta(seconds=self._settings.eval_interval_s)
        if begins > self._clock():
            self._report(CyclePending(CycleId(newest + 1), begins))
        await sleep_until(begins, self._clock)

    async def conduct(self, cycle: CycleId) -> RecordedEvent[CycleEnd]:
        return await conduct(
            cycle,
            log=self._log,
            queue=self._queue,
            blocks=self._blocks,
            settings=self._settings,
            report=self._report,
            subnet=None if self._settings.netuid is None else self._subnet,
            failures=self._failures,
            clock=self._clock,
        )

    async def newest(self) -> CycleId:
        return await self._asked(lambda: newest_cycle(self._log))

    async def has_ended(self, cycle: CycleId) -> bool:
        return await self._asked(lambda: self._log.last(subjects.seal(cycle))) is not None

    async def _planned_at(self, cycle: CycleId) -> datetime:
        stored = await self._asked(lambda: self._log.last(subjects.plan(cycle)))
        assert stored is not None, f"cycle {cycle} has no plan"
        return decode_as(CyclePlanned, stored).time

    async def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        return await retried(question, (LogUnavailable, QueueUnavailable), limit_s=RETRY_S, tell=self._tell_retrying)

    def _tell_retrying(self, error: Exception) -> None:
        self._report(Retrying(str(error)))
