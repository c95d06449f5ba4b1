"""Workers on a real queue: what they take, what they lose, what they leave behind."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from nats.aio.msg import Msg

from consumers.simulation.worker import WorkerSettings, run_worker
from consumers.work import HEARTBEATS_PER_LEASE
from events import frames, subjects
from events.codec import draft
from events.connection import Refused
from events.envelope import begin
from events.episodes import EpisodeAttemptFailed, EpisodeCompleted, FailureCode
from events.event import Event
from events.stream_settings import TASKS, TRACES, WORKERS
from events.tasks import EpisodeTask
from events.traces import TraceStore
from sim.record import decode_record
from sim.trace import action_digest
from tests.consumers.conftest import LEASE_S, LONG_LEASE_S, Bus, worker_process
from tests.controls import facts
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.policies import expert, lazy, served

TERMS = facts.TERMS.model_copy(update={"act_deadline_ms": 20_000, "steps_max": 50})
TOLD_APART = {"attempt", "worker", "latency", "duration_s"}


@asynccontextmanager
async def running_worker(
    bus: Bus, *, name: str = "worker-1", slots: int = 2, grace_s: float = 10.0
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = WorkerSettings(
        bus.url, name, episodes_in_flight=slots, allow_private_endpoints=True, grace_s=grace_s, lease_s=LEASE_S
    )
    worker = asyncio.create_task(run_worker(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await worker


class Gate:
    """A policy that holds its answers back until it is opened."""

    def __init__(self) -> None:
        self.waiting = 0
        self._open = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    async def __call__(self, body: bytes) -> web.Response:
        self.waiting += 1
        await self._open.wait()
        self.waiting -= 1
        return await lazy(body)

    async def holds(self, number: int) -> None:
        await eventually(lambda: self.waiting >= number)


async def append(bus: Bus, event: Event) -> None:
    await bus.log.append([draft(begin(event, source="/test"))])


async def test_a_task_becomes_an_outcome_and_leaves_the_queue(bus: Bus) -> None:
    async with served(expert) as policy, running_worker(bus):
        await bus.queue.put([task(index=index, seed=index, endpoint=policy.url, terms=TERMS) for index in range(4)])
        await eventually(bus.is_empty)
    outcomes = await bus.facts()
    assert all(isinstance(event, EpisodeCompleted) for event in outcomes)
    assert sorted(event.index for event in outcomes if isinstance(event, EpisodeCompleted)) == [0, 1, 2, 3]


async def test_a_task_that_is_already_settled_only_leaves_the_queue(bus: Bus) -> None:
    it = task()
    await append(bus, facts.completed(it.key))
    async with running_worker(bus):
        await bus.queue.put([it])
        await eventually(bus.is_empty)
    assert await bus.facts() == [facts.completed(it.key)]


async def test_a_worker_takes_no_more_than_it_can_run(bus: Bus) -> None:
    gate = Gate()
    async with served(gate) as policy, running_worker(bus, slots=3):
        await bus.queue.put([task(index=index, endpoint=policy.url, terms=TERMS) for index in range(9)])
        await gate.holds(3)
        await eventually(lambda: _no_pull_is_open(bus))
        assert await bus.tasks_held() == 3
        gate.open()
        await eventually(bus.is_empty)


async def _no_pull_is_open(bus: Bus) -> bool:
    info = await bus.connection.api(f"CONSUMER.INFO.{TASKS}.{WORKERS}")
    return int(info["num_waiting"]) == 0


async def _pull(bus: Bus) -> EpisodeTask:
    """What is free to be taken."""
    workers = await bus.connection.client.jetstream().pull_subscribe_bind(durable=WORKERS, stream=TASKS)
    [message] = await workers.fetch(1, timeout=60)
    return EpisodeTask.model_validate_json(message.data)


async def _has_an_outcome(bus: Bus, it: EpisodeTask) -> bool:
    return await bus.log.last(subjects.outcome(it.key)) is not None


async def test_an_episode_longer_than_its_lease_stays_with_its_worker(bus: Bus) -> None:
    gate, heartbeats = Gate(), 0

    async def count(message: Msg) -> None:
        nonlocal heartbeats
        heartbeats += message.data == b"+WPI"

    await bus.connection.client.subscribe(f"$JS.ACK.{TASKS}.>", cb=count)
    async with served(gate) as policy, running_worker(bus), running_worker(bus, name="worker-2"):
        await bus.queue.put([task(endpoint=policy.url, terms=TERMS)])
        await gate.holds(1)
        await eventually(lambda: heartbeats > HEARTBEATS_PER_LEASE)
        gate.open()
        await eventually(bus.is_empty)
    [event] = await bus.facts()
    assert isinstance(event, EpisodeCompleted)


async def test_poison_leaves_the_queue_and_the_worker_goes_on(bus: Bus) -> None:
    async with served(lazy) as policy, running_worker(bus):
        await bus.connection.ask(lambda reply: frames.request("task.episode.poison", reply, b"not a task"))
        await bus.queue.put([task(endpoint=policy.url, terms=TERMS)])
        await eventually(bus.is_empty)
    assert len(await bus.facts()) == 1


async def test_a_lost_durable_is_made_again(bus: Bus) -> None:
    async with served(lazy) as policy, running_worker(bus):
        await bus.lose_consumer(TASKS, WORKERS)
        await bus.queue.put([task(endpoint=policy.url, terms=TERMS)])
        await eventually(bus.is_empty)
    assert len(await bus.facts()) == 1


async def test_kill_9_of_a_worker_costs_one_attempt_and_nothing_else(bus: Bus) -> None:
    gate = Gate()
    async with served(gate) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        await bus.queue.put([it])
        async with worker_process(bus, "worker-1") as doomed:
            await gate.holds(1)
            doomed.kill()
            await doomed.wait()
        gate.open()
        async with running_worker(bus, name="worker-2"):
            await eventually(bus.is_empty)
    lost, outcome = await bus.facts()
    assert isinstance(lost, EpisodeAttemptFailed)
    assert (lost.code, lost.attempt) == (FailureCode.WORKER_LOST, 1)
    assert isinstance(outcome, EpisodeCompleted)
    assert (outcome.attempt, outcome.worker) == (2, "worker-2")


async def test_sigterm_lets_running_episodes_end_and_leaves_the_others_alone(bus: Bus) -> None:
    gate = Gate()
    async with served(gate) as policy:
        await bus.queue.put([task(index=index, endpoint=policy.url, terms=TERMS) for index in range(3)])
        async with worker_process(bus, "worker-1", "--episodes-in-flight", "1") as worker:
            await gate.holds(1)
            worker.send_signal(signal.SIGTERM)
            gate.open()
            assert await worker.wait() == 0
    assert len(await bus.facts()) == 1
    assert await bus.queue.pending() == 2
    assert await bus.tasks_held() == 0


async def test_what_does_not_end_within_the_grace_is_handed_back_at_once(bus: Bus) -> None:
    gate = Gate()
    async with served(gate) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        await bus.queue.put([it])
        async with worker_process(bus, "worker-1", "--grace-s", "0.1", "--lease-s", str(LONG_LEASE_S)) as worker:
            await gate.holds(1)
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
    [ended] = await bus.facts()
    assert isinstance(ended, EpisodeAttemptFailed)
    assert (ended.code, ended.attempt) == (FailureCode.HANDED_BACK, 1)
    info = await bus.connection.api(f"CONSUMER.INFO.{TASKS}.{WORKERS}")
    assert info["config"]["ack_wait"] == LONG_LEASE_S * 1e9
    assert await _pull(bus) == it


async def test_kill_9_of_the_server_changes_no_result(bus: Bus) -> None:
    tasks = range(6)
    async with served(expert) as policy:
        undisturbed = [task(1, index=index, seed=index, endpoint=policy.url, terms=TERMS) for index in tasks]
        disturbed = [task(2, index=index, seed=index, endpoint=policy.url, terms=TERMS) for index in tasks]
        async with running_worker(bus):
            await bus.queue.put(undisturbed)
            await eventually(bus.is_empty)
            await bus.queue.put(disturbed)
            await eventually(lambda: _has_an_outcome(bus, disturbed[0]))
            bus.server.kill()
            bus.server.start()
            await eventually(bus.is_empty)
    outcomes = [event for event in await bus.facts() if isinstance(event, EpisodeCompleted)]
    assert len(outcomes) == 2 * len(tasks)
    first, second = (
        sorted(
            (e.model_dump(exclude=TOLD_APART | {"cycle"}) for e in outcomes if e.cycle == cycle),
            key=lambda e: e["index"],
        )
        for cycle in (1, 2)
    )
    assert first == second


async def test_a_worker_stops_in_time_while_the_server_is_away(bus: Bus) -> None:
    async with worker_process(bus, "worker-1", "--grace-s", "1") as worker:

        async def pulling() -> bool:
            return not await _no_pull_is_open(bus)

        await eventually(pulling)
        bus.server.kill()
        worker.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await worker.wait() == 0


async def test_what_cannot_be_handed_back_as_the_server_is_away_comes_back_by_itself(bus: Bus) -> None:
    gate = Gate()
    async with served(gate) as policy:
        it = task(endpoint=policy.url, terms=TERMS)
        await bus.queue.put([it])
        async with worker_process(bus, "worker-1", "--grace-s", "0.1") as worker:
            await gate.holds(1)
            bus.server.kill()
            worker.send_signal(signal.SIGTERM)
            async with asyncio.timeout(60):
                assert await worker.wait() == 0
        bus.server.start()
        gate.open()
        async with running_worker(bus, name="worker-2"):
            await eventually(bus.is_empty)
    [outcome] = [event for event in await bus.facts() if isinstance(event, EpisodeCompleted)]
    assert outcome.worker == "worker-2"


async def test_a_recording_is_kept_of_every_outcome(bus: Bus) -> None:
    it = task(endpoint="", terms=TERMS)
    async with served(expert) as policy, running_worker(bus):
        await bus.queue.put([it.model_copy(update={"endpoint": policy.url})])
        await eventually(bus.is_empty)
    [event] = await bus.facts()
    assert isinstance(event, EpisodeCompleted)
    body = await TraceStore(bus.connection).fetch(it.key, event.attempt, event.evidence.action_digest)
    assert body is not None
    record = decode_record(body)
    assert record.about["episode"] == it.key.id
    assert action_digest(record.actions) == event.evidence.action_digest
    assert len(record.track.rewards) == event.steps
    assert str(it.seed) not in str(record.about)


async def test_a_result_whose_recording_cannot_be_kept_counts_all_the_same(bus: Bus) -> None:
    async with served(lazy) as policy, running_worker(bus):
        await eventually(lambda: _is_there(bus, TRACES))
        config = (await bus.connection.api(f"STREAM.INFO.{TRACES}"))["config"]
        await bus.connection.api(f"STREAM.UPDATE.{TRACES}", {**config, "max_msg_size": 10})
        await bus.queue.put([task(endpoint=policy.url, terms=TERMS)])
        await eventually(bus.is_empty)
    [event] = await bus.facts()
    assert isinstance(event, EpisodeCompleted)


async def _is_there(bus: Bus, stream: str) -> bool:
    try:
        await bus.connection.api(f"STREAM.INFO.{stream}")
    except Refused:
        return False
    return True
