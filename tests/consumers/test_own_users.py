"""Workers and verifiers on a server with accounts, each with the rights of its own user only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import ConsumerConfig

from consumers.intake import Intake, broker_for, started
from consumers.simulation.worker import WorkerSettings, run_worker
from consumers.work import Answer
from events import subjects
from events.connection import Connection, connect
from events.ids import CycleId, Uid
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import AccessDenied, Draft
from events.permissions import OPERATOR
from events.stream_settings import ACK_WAIT_S, TASKS, VERIFIERS, WORKERS, verifiers_settings
from events.streams import create_traces, ensure_streams
from events.tasks import EpisodeTask
from events.traces import TraceStore
from tests.controls.tasks import task
from tests.eventually import eventually
from tests.fixtures.guarded import GuardedNats, guarded
from tests.fixtures.policies import lazy, served


@pytest.fixture
def server() -> Iterator[GuardedNats]:
    with guarded() as running:
        yield running


@pytest.fixture
async def operator(server: GuardedNats) -> AsyncIterator[Connection]:
    async with await connect(server.url(OPERATOR), "operator") as connection:
        await ensure_streams(connection)
        await create_traces(connection, 1)
        yield connection


@asynccontextmanager
async def _working(server: GuardedNats) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = WorkerSettings(server.url("worker"), "worker-1", episodes_in_flight=1, allow_private_endpoints=True)
    worker = asyncio.create_task(run_worker(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await worker


async def test_a_lost_durable_is_made_by_an_operator_and_workers_go_on(
    server: GuardedNats, operator: Connection
) -> None:
    queue, log = JetStreamQueue(operator), JetStreamLog(operator)
    async with served(lazy) as policy, _working(server):
        first, second = (task(index=index, endpoint=policy.url) for index in range(2))
        await _evaluated(first, queue, log)
        assert server.violations == []
        await operator.api(f"CONSUMER.DELETE.{TASKS}.{WORKERS}")
        await eventually(lambda: any("CONSUMER.CREATE" in line for line in server.violations), 60)
        await ensure_streams(operator)
        await _evaluated(second, queue, log)


async def test_who_may_not_pull_ends_and_says_so(server: GuardedNats, operator: Connection) -> None:
    broker = broker_for(server.url("worker"))
    checks = ConsumerConfig.from_response(dict(verifiers_settings(ACK_WAIT_S)))
    intake = Intake(broker, stream=TASKS, consumer=checks, slots=1, title="checks")
    async with started(FastStream(broker, logger=None)):
        with pytest.raises(AccessDenied, match=r"may not take messages from KINITRO_TASKS\.verifiers: .* own user"):
            async with asyncio.timeout(60):
                await intake.run(_never, asyncio.Event(), grace_s=0)


async def _never(message: NatsMessage) -> Answer:
    raise AssertionError(f"taken without a right to it: {message.raw_message.subject}")


async def test_a_verifier_has_all_the_rights_that_it_needs(server: GuardedNats, operator: Connection) -> None:
    outcome = task()
    await JetStreamLog(operator).append([Draft(subjects.outcome(outcome.key), "id", b"{}")])
    async with await connect(server.url("verifier"), "verifier") as connection:
        await ensure_streams(connection)
        log = JetStreamLog(connection)
        found = [stored async for batch in log.read(subject=subjects.outcomes(outcome.key.cycle)) for stored in batch]
        assert [stored.subject for stored in found] == [subjects.outcome(outcome.key)]
        await log.append([Draft(subjects.verification(CycleId(1), Uid(7)), "id", b"{}")])
        assert await TraceStore(connection).fetch(outcome.key, 1, "digest") is None
        await operator.ask(lambda reply: _put("task.check.1.7", reply))
        checks = await connection.client.jetstream().pull_subscribe_bind(durable=VERIFIERS, stream=TASKS)
        (message,) = await checks.fetch(1, timeout=30)
        await message.ack_sync(timeout=30)
    assert await JetStreamQueue(operator).pending() == 0
    assert server.violations == []


def _put(subject: str, reply: str) -> bytes:
    return f"PUB {subject} {reply} 2\r\n{{}}\r\n".encode()


async def _evaluated(work: EpisodeTask, queue: JetStreamQueue, log: JetStreamLog) -> None:
    async def has_ended() -> bool:
        return await log.last(subjects.outcome(work.key)) is not None

    await queue.put([work])
    await eventually(has_ended, 60)
