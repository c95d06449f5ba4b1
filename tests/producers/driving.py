"""What stands around producers in their tests: a clock that is turned by hand, miners, workers, and failures."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from events import subjects
from events.codec import decode, draft
from events.connection import Connection, NatsError
from events.cycles import CyclePlanned, CycleSealed, CycleSeeded, EpisodeTerms
from events.envelope import Clock, RecordedEvent, begin, follow, utc_now
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.ids import CycleId, Hotkey, Uid
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import Conflict, Draft, EventLog, Filter, Stored
from events.memory import MemoryLog, MemoryQueue
from events.merkle import MerkleTree
from events.queue import TaskQueue
from events.rules import ScoringRules
from events.sealed import EndpointKey
from events.seeds import cycle_secret
from events.stream_settings import TASKS
from events.tasks import CheckTask, EpisodeTask, Task
from events.verification import VerificationOutcome
from producers.blocks import ClockBlocks
from producers.cycles.conductor import conduct
from producers.cycles.pin import ReadSubnet
from producers.cycles.settings import SchedulerSettings, VerificationSettings
from producers.cycles.state import CycleEnd, CycleState
from producers.discovery.source import RegisteredMiner, Snapshot
from producers.progress import Progress
from tests.controls import facts

MASTER_KEY = bytes(range(32, 64))
CYCLE = CycleId(1)


class HandClock:
    """Shows the moment that it was set to; sleeping turns it forward instead of waiting."""

    def __init__(self) -> None:
        self.moment = facts.MOMENT

    def __call__(self) -> datetime:
        return self.moment

    def turn(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds)
        await asyncio.sleep(0)

    def blocks(self) -> ClockBlocks:
        return ClockBlocks("test", facts.MOMENT - timedelta(seconds=50), clock=self, sleep=self.sleep)


def settings(
    *,
    episodes: int = 2,
    deadline_s: int = 3600,
    requeue_after_s: float = 15.0,
    coverage_min: str = "0.5",
    network: str = "test",
    eval_interval_s: float = 3600,
    master_key: bytes = MASTER_KEY,
    terms: EpisodeTerms = facts.TERMS,
    endpoint_key: EndpointKey | None = None,
    verification: VerificationSettings | None = None,
) -> SchedulerSettings:
    return SchedulerSettings(
        network=network,
        environments=(facts.REACH, facts.PUSH),
        episodes_per_env=episodes,
        terms=terms,
        rules=ScoringRules(coverage_min=Decimal(coverage_min)),
        verification=verification,
        deadline_s=deadline_s,
        eval_interval_s=eval_interval_s,
        discovery_interval_s=0.02,
        requeue_after_s=requeue_after_s,
        master_key=master_key,
        endpoint_key=endpoint_key,
        versions={"mujoco": "3.3.0"},
    )


def checking(rate: str = "1") -> VerificationSettings:
    """Miners are checked with this probability."""
    terms = facts.verification_terms(rate=rate)
    return VerificationSettings(**{name: value for name, value in terms if name in VerificationSettings.model_fields})


class Miners:
    """A source of miners that tests change by hand."""

    def __init__(self, *miners: RegisteredMiner) -> None:
        self.block = 50
        self.miners = miners

    async def snapshot(self) -> Snapshot:
        return Snapshot(self.block, self.miners)


def miner(uid: int = 0, hotkey: str | None = None, *, revision: str = "0123abcd") -> RegisteredMiner:
    name = facts.hotkey(uid) if hotkey is None else Hotkey(hotkey)
    return RegisteredMiner(name, facts.discovered(uid).uid, facts.commitment(uid, revision=revision))


async def append(log: EventLog, *events: Event) -> None:
    await log.append([draft(begin(event, source="/tests")) for event in events])


async def with_miners(stage: Stage, uids: Iterable[int] = range(3)) -> Stage:
    """The stage, with these miners registered."""
    await append(stage.log, *(facts.discovered(uid) for uid in uids))
    return stage


async def events_of(log: EventLog, subject: str = ">") -> list[RecordedEvent[Event]]:
    return [decode(stored) async for batch in log.read(subject=subject) for stored in batch]


class Stage(Protocol):
    """A log and a queue, and what workers and verifiers see of the queue."""

    log: EventLog
    queue: TaskQueue

    async def tasks(self) -> list[EpisodeTask]:
        """The episodes on the queue, in order."""
        ...

    async def checks(self) -> list[CheckTask]:
        """The checks on the queue, in order."""
        ...

    async def remove(self, task: Task) -> None:
        """As an acknowledgement does."""
        ...


class MemoryStage:
    def __init__(self) -> None:
        self.log: EventLog = MemoryLog()
        self.memory_queue = MemoryQueue()
        self.queue: TaskQueue = self.memory_queue

    async def tasks(self) -> list[EpisodeTask]:
        return list(self.memory_queue.waiting.values())

    async def checks(self) -> list[CheckTask]:
        return self.memory_queue.checks

    async def remove(self, task: Task) -> None:
        self.memory_queue.done(task)


class JetStreamStage:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.log: EventLog = JetStreamLog(connection)
        self.queue: TaskQueue = JetStreamQueue(connection)
        self._sequences: dict[str, int] = {}

    async def tasks(self) -> list[EpisodeTask]:
        return [EpisodeTask.model_validate_json(it) for it in await self._queued(subjects.EPISODE_TASKS)]

    async def checks(self) -> list[CheckTask]:
        return [CheckTask.model_validate_json(it) for it in await self._queued(subjects.CHECK_TASKS)]

    async def _queued(self, which: str) -> list[bytes]:
        found: list[bytes] = []
        sequence = 0
        with suppress(NatsError):  # no more messages, or no server for a moment
            while True:
                wanted = {"seq": sequence + 1, "next_by_subj": which}
                message = (await self._connection.api(f"STREAM.MSG.GET.{TASKS}", wanted))["message"]
                sequence = int(message["seq"])
                found.append(base64.b64decode(message["data"]))
                self._sequences[message["subject"]] = sequence
        return found

    async def remove(self, task: Task) -> None:
        with suppress(NatsError):  # gone already, or it will be offered again
            sequence = self._sequences[subjects.task_of(task)]
            await self._connection.api(f"STREAM.MSG.DELETE.{TASKS}", {"seq": sequence})


def outcome_of(task: EpisodeTask) -> EpisodeCompleted:
    """What running this task gives, always: success is in its seed."""
    return facts.completed(task.key, success=task.seed % 2 == 0)


Run = Callable[[EpisodeTask], EpisodeCompleted | EpisodeForfeited | None]
"""None leaves the task where it is."""


async def work(stage: Stage, run: Run = outcome_of, at_once: int | None = None, clock: Clock = utc_now) -> None:
    """Does tasks as they come, so many before it looks again, until it is cancelled."""
    while True:
        tasks = (await stage.tasks())[:at_once]
        for task in tasks:
            outcome = run(task)
            if outcome is None:
                continue
            await settle(stage, task, outcome, clock())
        if not tasks or at_once:
            await asyncio.sleep(0.001)


async def settle(stage: Stage, task: Task, outcome: Event, time: datetime) -> None:
    """Appends what came of a task, and takes it from the queue."""
    it = follow(outcome, cause=task.cause, correlation=task.correlation, source="/tests/worker", time=time)
    with suppress(Conflict):  # there is an outcome already, and it stays
        await stage.log.append([draft(it)])
    await stage.remove(task)


@asynccontextmanager
async def worker(
    stage: Stage, run: Run = outcome_of, at_once: int | None = None, clock: Clock = utc_now
) -> AsyncIterator[None]:
    """Works on the stage within the block."""
    task = asyncio.create_task(work(stage, run, at_once, clock))
    try:
        yield
    finally:
        await stop(task)


def passed(task: CheckTask) -> VerificationOutcome:
    return facts.verification_passed(task.cycle, task.uid)


Check = Callable[[CheckTask], VerificationOutcome | None]
"""None leaves the task where it is."""


async def verify(stage: Stage, check: Check = passed) -> None:
    """Answers checks as they come, until it is cancelled."""
    while True:
        for task in await stage.checks():
            if (outcome := check(task)) is not None:
                await settle(stage, task, outcome, facts.MOMENT)
        await asyncio.sleep(0.001)


@asynccontextmanager
async def verifier(stage: Stage, check: Check = passed) -> AsyncIterator[None]:
    """Verifies on the stage within the block."""
    task = asyncio.create_task(verify(stage, check))
    try:
        yield
    finally:
        await stop(task)


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancels a task that is still running."""
    assert task.cancel(), f"ended already: {task}"
    await asyncio.wait({task})
    assert task.cancelled(), task.exception()


async def drive(
    stage: Stage,
    *,
    log: EventLog | None = None,
    queue: TaskQueue | None = None,
    clock: HandClock | None = None,
    using: SchedulerSettings | None = None,
    told: list[Progress] | None = None,
    cycle: CycleId = CYCLE,
    subnet: ReadSubnet | None = None,
) -> RecordedEvent[CycleEnd]:
    it = clock or HandClock()
    report = (told if told is not None else []).append
    return await conduct(
        cycle,
        log=log or stage.log,
        queue=queue or stage.queue,
        blocks=it.blocks(),
        settings=using or settings(),
        report=report,
        subnet=subnet,
        clock=it,
    )


def queued(stage: Stage, count: int = 1) -> Callable[[], Awaitable[bool]]:
    """The condition that at least so many tasks are on the queue."""

    async def condition() -> bool:
        return await stage.queue.pending() >= count

    return condition


async def story(log: EventLog, cycle: CycleId = CYCLE) -> dict[str, object]:
    """What a cycle has come to: payloads by subject, and of the seal what does not follow from ids and times."""
    told: dict[str, object] = {}
    for recorded in await events_of(log, subjects.cycle(cycle)):
        event = recorded.event
        told[recorded.subject] = event.model_dump(exclude={"merkle_root", "last_sequence", "first_sequence"})
    return told


async def check_whole(log: EventLog, cycle: CycleId = CYCLE) -> None:
    """Asserts what holds of any sealed cycle: each outcome once, lineage, and a root that an outsider finds too."""
    recorded = await events_of(log, subjects.cycle(cycle))
    plan, seeded, end = recorded[0], recorded[1], recorded[-1]
    assert isinstance(plan.event, CyclePlanned)
    assert isinstance(seeded.event, CycleSeeded)
    assert isinstance(end.event, CycleSealed)
    assert len({it.subject for it in recorded}) == len(recorded)
    checked = [it for it in recorded if isinstance(it.event, VerificationOutcome)]
    assert len(recorded) == plan.event.episodes_planned + len(checked) + 3
    assert {it.envelope.correlation for it in recorded} == {plan.id}
    assert {it.envelope.causation for it in recorded[2:-1]} == {seeded.id}
    assert seeded.envelope.causation == plan.id
    tree = MerkleTree()
    for it in recorded[:-1]:
        tree.add(it.body)
    assert (end.event.merkle_root, end.event.tree_size) == (tree.root().hex(), tree.size)
    assert (end.event.first_sequence, end.event.last_sequence) == (plan.sequence, recorded[-2].sequence)
    assert hashlib.sha256(bytes.fromhex(end.event.secret)).hexdigest() == plan.event.secret_commitment


async def fold(log: EventLog, cycle: CycleId = CYCLE) -> CycleState:
    state = CycleState(cycle, cycle_secret(MASTER_KEY, cycle))
    async for batch in log.read(subject=subjects.cycle(cycle)):
        for stored in batch:
            state.apply(stored)
    return state


class Crash(Exception):
    """The process dies here."""


class Fuse:
    """Lets so many calls pass, and raises at the next: before it takes effect, or after."""

    def __init__(self, calls: int, error: type[Exception] = Crash, *, after: bool = False) -> None:
        self._left = calls
        self._error = error
        self._after = after
        self.blown = False

    def before(self) -> None:
        self._left -= not self._after
        self._blow()

    def after(self) -> None:
        self._left -= self._after
        self._blow()

    def _blow(self) -> None:
        if self._left < 0 and not self.blown:
            self.blown = True
            raise self._error("blown")


class FusedLog:
    """A log that fails when its fuse blows."""

    def __init__(self, log: EventLog, fuse: Fuse) -> None:
        self._log = log
        self._fuse = fuse

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        self._fuse.before()
        sequences = await self._log.append(drafts)
        self._fuse.after()
        return sequences

    async def last(self, subject: str) -> Stored | None:
        self._fuse.before()
        return await self._log.last(subject)

    async def at(self, sequence: int) -> Stored | None:
        self._fuse.before()
        return await self._log.at(sequence)

    async def last_sequence(self) -> int:
        self._fuse.before()
        return await self._log.last_sequence()

    async def identity(self) -> str:
        self._fuse.before()
        return await self._log.identity()

    async def read(self, *, after: int = 0, subject: Filter = ">") -> AsyncGenerator[list[Stored], None]:
        self._fuse.before()
        async for batch in self._log.read(after=after, subject=subject):
            yield batch
            self._fuse.before()

    async def follow(self, *, after: int = 0, subject: str = ">") -> AsyncGenerator[list[Stored], None]:
        self._fuse.before()
        async for batch in self._log.follow(after=after, subject=subject):
            yield batch
            self._fuse.before()


class FusedQueue:
    """A queue that fails when its fuse blows."""

    def __init__(self, queue: TaskQueue, fuse: Fuse) -> None:
        self._queue = queue
        self._fuse = fuse

    async def put(self, tasks: Sequence[Task]) -> int:
        self._fuse.before()
        added = await self._queue.put(tasks)
        self._fuse.after()
        return added

    async def pending(self) -> int:
        self._fuse.before()
        return await self._queue.pending()

    async def purge_miner(self, cycle: CycleId, uid: Uid) -> int:
        self._fuse.before()
        purged = await self._queue.purge_miner(cycle, uid)
        self._fuse.after()
        return purged

    async def purge_cycle(self, cycle: CycleId) -> int:
        self._fuse.before()
        purged = await self._queue.purge_cycle(cycle)
        self._fuse.after()
        return purged
