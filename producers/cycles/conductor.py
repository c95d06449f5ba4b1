"""Drives one cycle from whatever the log says about it to its end.

It keeps nothing that the log does not have. Over and over it folds what is new, decides on one step (`next_step`) and
takes it; every step is one append that expects its subject to be empty, or can be repeated. So it may be killed
anywhere and started again, any number of times and in any number of places at once: the cycle is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import cached_property
from itertools import islice
from typing import TypeVar

from events import subjects
from events.announced_rules import read_announced
from events.codec import draft
from events.cycles import CycleAbandoned, CyclePlanned, CycleSeeded
from events.envelope import Clock, Envelope, RecordedEvent, begin, utc_now
from events.event import Event
from events.ids import CycleId
from events.log import BATCH_MAX, Conflict, EventLog, LogUnavailable, Stored
from events.metagraph import SEED_DELAY_BLOCKS
from events.patience import Patience
from events.queue import QueueUnavailable, TaskQueue
from events.rules import rules_that_differ
from events.seeds import cycle_secret
from producers.blocks import BlockSource
from producers.clock import TICK_S
from producers.cycles import doors, slots
from producers.cycles.checking import CheckDispatch, CheckTasks
from producers.cycles.dispatch import Dispatch
from producers.cycles.ending import called_off, end_of, given_up, late
from producers.cycles.errors import NothingToEvaluate, OutOfTurn
from producers.cycles.failures import Failures
from producers.cycles.news import News
from producers.cycles.pin import ReadSubnet, pin_of
from producers.cycles.plan import left_out, metagraph_of, plan_cycle
from producers.cycles.recordings import read_recordings
from producers.cycles.settings import SchedulerSettings
from producers.cycles.state import CycleEnd, CycleState, Step, next_step
from producers.cycles.tasks import EpisodeTasks
from producers.cycles.watch import Silence, Watch
from producers.discovery.metagraph import MetagraphSnapshot
from producers.discovery.registry import Registry
from producers.progress import Ended, LeftOut, Queued, Report, Retrying, RulesOverruled
from producers.retry import retried

SOURCE = "/kinitro/conductor"
RETRY_S = 300.0
"""How long a step is tried again for want of an answer. Log and queue try for a while themselves, each time."""

K = TypeVar("K")


async def conduct(
    cycle: CycleId,
    *,
    log: EventLog,
    queue: TaskQueue,
    blocks: BlockSource,
    settings: SchedulerSettings,
    report: Report,
    subnet: ReadSubnet | None = None,
    failures: Failures | None = None,
    clock: Clock = utc_now,
) -> RecordedEvent[CycleEnd]:
    """Plans the cycle if it has no plan, brings it to its end, and returns that. One that has ended is left as it is.

    `subnet` reads the chain to which the plan is pinned; without it there is none. Once there is a plan, trouble with
    the chain is waited out, until the deadline. `failures`, where somebody keeps them, need not be read again.

    Raises:
        CycleError: it cannot go on.
        LogUnavailable, QueueUnavailable: no answer for `RETRY_S`; call it again.
        CodecError: the log holds an event of this cycle that cannot be read.
    """
    return await _Conductor(cycle, log, queue, blocks, settings, report, subnet, failures or Failures(), clock).run()


class _Conductor:
    """The state of `conduct`."""

    def __init__(
        self,
        cycle: CycleId,
        log: EventLog,
        queue: TaskQueue,
        blocks: BlockSource,
        settings: SchedulerSettings,
        report: Report,
        subnet: ReadSubnet | None,
        failures: Failures,
        clock: Clock,
    ) -> None:
        self._cycle = cycle
        self._log = log
        self._queue = queue
        self._blocks = blocks
        self._settings = settings
        self._report = report
        self._subnet = subnet
        self._failures = failures
        self._clock = clock
        self._secret = cycle_secret(settings.master_key, cycle)
        self._state = CycleState(cycle, self._secret)
        self._news = News(self._state)
        self._checking: CheckDispatch | None = None
        self._steps: dict[Step, Callable[[], Awaitable[None]]] = {
            Step.PLAN: self._plan,
            Step.SEED: self._seed,
            Step.RUN: self._run,
            Step.GIVE_UP: self._give_up,
            Step.ABANDON: self._abandon,
            Step.VERIFY: self._verify,
            Step.CALL_OFF: self._call_off,
            Step.CHECK_SLOTS: self._check_slots,
            Step.SEAL: self._seal,
        }

    async def run(self) -> RecordedEvent[CycleEnd]:
        # Somebody was first, or what we appended may yet have been stored: the log says which, at the next try.
        doubts = (Conflict, LogUnavailable, QueueUnavailable)
        while (end := await retried(self._step, doubts, limit_s=RETRY_S, tell=self._tell_retrying)) is None:
            pass
        return end

    async def _step(self) -> RecordedEvent[CycleEnd] | None:
        await self._catch_up()
        if self._state.end is None:
            await self._steps[next_step(self._state, self._clock())]()
            return None
        await self._queue.purge_cycle(self._cycle)
        self._report(_ended(self._state.end.event))
        return self._state.end

    def _tell_retrying(self, error: Exception) -> None:
        self._report(Retrying(f"cycle {self._cycle}: {error}"))

    async def _catch_up(self) -> None:
        async for batch in self._log.read(after=self._state.last_sequence, subject=subjects.cycle(self._cycle)):
            self._take(batch)

    def _take(self, batch: list[Stored]) -> None:
        """Folds what came, and reports what is new."""
        for stored in batch:
            self._state.apply(stored)
        for news in self._news.come():
            self._report(news)

    # The steps. Each leaves the log one step further, or raises and leaves it as it was.

    async def _plan(self) -> None:
        if self._cycle > 1 and await self._log.last(subjects.seal(CycleId(self._cycle - 1))) is None:
            raise OutOfTurn(
                f"cycle {self._cycle} cannot begin: cycle {self._cycle - 1} has not ended; conduct it first"
            )
        pin = await pin_of(self._cycle, self._blocks, self._subnet)
        end = await self._log.last_sequence()
        registry = Registry()
        await registry.catch_up(self._log)
        announced = [it.event for it in await read_announced(self._log)]
        if self._settings.verification is not None:
            await self._failures.catch_up(self._log)
        plan = plan_cycle(self._cycle, registry, self._settings, pin, announced, self._failures)
        if isinstance(plan, str):
            raise NothingToEvaluate(plan)
        if uids := left_out(registry, self._settings):
            self._report(LeftOut(self._cycle, uids))
        # What is announced or checked before the plan counts in it: with anything new in the log, it is made anew.
        planned = begin(plan, source=SOURCE, time=self._clock())
        drafts = [draft(planned, log_ends_at=end)]
        if isinstance(pin, MetagraphSnapshot):
            drafts.append(draft(planned.follow(metagraph_of(self._cycle, pin), source=SOURCE, time=planned.time)))
        await self._log.append(drafts)
        if differ := rules_that_differ(plan.rules, self._settings.rules):
            self._report(RulesOverruled(self._cycle, tuple(map(str, differ))))

    async def _seed(self) -> None:
        plan, deadline = self._checked_plan(), self._state.deadline
        assert deadline is not None
        doors.check_kind(plan.event, on_chain=self._subnet is not None)
        delay = 1 if plan.event.chain is None else SEED_DELAY_BLOCKS
        try:
            async with asyncio.timeout((deadline - self._clock()).total_seconds()) as limit:
                block = await self._blocks.after(plan.event.block + delay - 1)
        except TimeoutError:
            if limit.expired():
                return  # the deadline: what is next is decided anew
            raise
        assert block.finalized, f"block {block.number} is not finalized"
        assert block.number > plan.event.block, f"block {block.number} is not past the plan's {plan.event.block}"
        doors.check_genesis(plan.event, block.genesis)
        seeded = CycleSeeded(cycle=self._cycle, block=block.number, block_hash=block.hash)
        await self._append(plan.envelope.follow(seeded, source=SOURCE, time=self._clock()))

    async def _run(self) -> None:
        await self._work_off(Step.RUN, self._dispatch)

    async def _verify(self) -> None:
        await self._work_off(Step.VERIFY, await self._check_dispatch())

    async def _work_off(self, step: Step, dispatch: Dispatch | CheckDispatch) -> None:
        """Queues what is to be done and follows the outcomes, for as long as that is the step to be taken."""
        state = self._state
        dispatch.restart()
        silence = Silence(self._settings.requeue_after_s)
        tick_s = min(TICK_S, self._settings.requeue_after_s)
        async with Watch(self._log.follow(after=state.last_sequence, subject=subjects.cycle(self._cycle))) as watch:
            while next_step(state, self._clock()) is step:
                queued = await dispatch.put_chunk()
                if queued:
                    self._report(Queued(self._cycle, queued))
                batch = await watch.next(0 if dispatch.ready else tick_s)
                if batch:
                    self._take(batch)
                    silence.broken()
                elif not dispatch.finished:
                    silence.put_off()
                elif silence.is_long():
                    dispatch.restart()

    @cached_property
    def _dispatch(self) -> Dispatch:
        """Kept from one `_run` to the next: it knows whose tasks it has taken from the queue."""
        plan, seeded = self._checked_plan(), self._state.seeded
        assert seeded is not None
        where = doors.opened(plan.event, self._settings.endpoint_key)
        return Dispatch(self._state, EpisodeTasks(plan, seeded, self._secret, where), self._queue)

    async def _check_dispatch(self) -> CheckDispatch:
        """Kept from one `_verify` to the next: it has read the recordings."""
        if self._checking is None:
            plan, seeded, material = self._checked_plan(), self._state.seeded, self._state.checks.material
            assert seeded is not None
            assert material is not None
            where = doors.opened(plan.event, self._settings.endpoint_key)
            recordings = await read_recordings(self._log, plan.event)
            tasks = CheckTasks(plan, seeded, material, where)
            self._checking = CheckDispatch(self._state, tasks, recordings, self._queue, self._clock)
        return self._checking

    async def _give_up(self) -> None:
        await self._settle_all(Step.GIVE_UP, self._state.given_up, given_up)

    async def _abandon(self) -> None:
        await self._settle_all(Step.ABANDON, self._state.missing, late)

    async def _call_off(self) -> None:
        self._checked_plan()
        await self._settle_all(Step.CALL_OFF, self._state.checks.missing, called_off)

    async def _settle_all(
        self,
        step: Step,
        rest: Callable[[], Iterable[K]],
        outcome: Callable[[K, CycleState], Event],
    ) -> None:
        """Gives episodes or checks their outcomes, for as long as that is the step to be taken."""
        cause = self._state.seeded or self._checked_plan()
        size = BATCH_MAX
        while next_step(self._state, self._clock()) is step:
            events = [outcome(key, self._state) for key in islice(rest(), size)]
            now = self._clock()
            try:
                await self._append(*(cause.envelope.follow(event, source=SOURCE, time=now) for event in events))
            except Conflict:
                # An outcome arrived after all, and stays. A smaller batch has a better chance against the next.
                if size == 1:
                    raise
                size //= 2
            await self._catch_up()

    async def _check_slots(self) -> None:
        """Notes who has lost its uid; or, where the chain stays away, seals the cycle without.

        Whoever seals without must not overlook a check that somebody else is noting, nor may that come after the
        seal: with anything new in the log, all of it is looked at anew.
        """
        plan = self._checked_plan()
        graph = await self._later_subnet(plan.event)
        log_ends_at = await self._log.last_sequence()
        await self._catch_up()
        if next_step(self._state, self._clock()) is not Step.CHECK_SLOTS:
            return
        event = end_of(self._state, self._secret) if graph is None else slots.slots_of(plan.event, graph)
        await self._log.append([draft(self._follow_last(event), log_ends_at=log_ends_at)])

    async def _later_subnet(self, plan: CyclePlanned) -> MetagraphSnapshot | None:
        doors.check_kind(plan, on_chain=self._subnet is not None)
        assert self._subnet is not None
        graph = await slots.later_subnet(plan, self._subnet, self._slots_patience, self._tell_retrying)
        if graph is not None:
            doors.check_subnet(plan, graph)
        return graph

    @cached_property
    def _slots_patience(self) -> Patience:
        """Begins when the subnet is first asked for, and does not begin again."""
        return Patience(slots.SLOTS_WITHIN_S)

    async def _seal(self) -> None:
        self._checked_plan()
        await self._append(self._follow_last(end_of(self._state, self._secret)))

    def _follow_last(self, event: Event) -> Envelope[Event]:
        last = self._state.last
        assert last is not None
        return last.envelope.follow(event, source=SOURCE, time=self._clock())

    async def _append(self, *envelopes: Envelope[Event]) -> None:
        await self._log.append([draft(envelope) for envelope in envelopes])

    def _checked_plan(self) -> RecordedEvent[CyclePlanned]:
        """The plan, if this process may drive it: it need not be the one that made it."""
        plan = self._state.plan
        assert plan is not None
        doors.check_plan(plan.event, self._secret, self._settings)
        return plan


def _ended(end: CycleEnd) -> Ended:
    return Ended(end.cycle, end.outcomes, end.detail if isinstance(end, CycleAbandoned) else None)
