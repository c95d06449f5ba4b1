"""What an intake takes, answers, and gives back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import ConsumerConfig
from structlog.testing import capture_logs

from consumers.intake import PAUSE_MAX_S, SILENT_MAX, Handle, Intake, broker_for, longest_pause_s, started
from consumers.work import Answer, Done, Drop, LetGo, RetryAfter
from events.log import LogUnavailable
from events.stream_settings import TASKS, workers_settings
from events.streams import ensure_streams
from tests.consumers.conftest import LEASE_S, LONG_LEASE_S, Bus
from tests.controls.tasks import task
from tests.eventually import eventually


def intake_of(url: str, slots: int = 1) -> tuple[FastStream, Intake]:
    broker = broker_for(url)
    consumer = ConsumerConfig.from_response(dict(workers_settings(LEASE_S)))
    return FastStream(broker, logger=None), Intake(
        broker, stream=TASKS, consumer=consumer, slots=slots, title="tasks"
    )


@asynccontextmanager
async def working(bus: Bus, handle: Handle, *, slots: int = 1, grace_s: float = 5.0) -> AsyncIterator[None]:
    app, intake = intake_of(bus.url, slots)
    stop = asyncio.Event()
    async with started(app):
        running = asyncio.create_task(intake.run(handle, stop, grace_s=grace_s))
        try:
            yield
        finally:
            stop.set()
            await running


class Answering:
    """Gives these answers, one after the other, and remembers what it was given."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.deliveries: list[int] = []

    async def __call__(self, message: NatsMessage) -> Answer:
        self.deliveries.append(message.raw_message.metadata.num_delivered)
        return self._answers.pop(0)


@pytest.mark.parametrize("answer", [Done(), Drop("poison")])
async def test_what_is_settled_or_dropped_is_gone(bus: Bus, answer: Answer) -> None:
    handle = Answering(answer)
    async with working(bus, handle):
        await bus.queue.put([task()])
        await eventually(bus.is_empty)
    assert handle.deliveries == [1]


async def test_what_is_to_be_retried_comes_back_after_its_delay(bus: Bus) -> None:
    handle = Answering(RetryAfter(0.1, "not yet"), Done())
    await ensure_streams(bus.connection, ack_wait_s=LONG_LEASE_S)
    async with working(bus, handle):
        await bus.queue.put([task()])
        await eventually(bus.is_empty)
    assert handle.deliveries == [1, 2]


async def test_what_is_let_go_is_left_to_its_lease(bus: Bus) -> None:
    handle = Answering(LetGo("not ours"), Done())
    async with working(bus, handle):
        await bus.queue.put([task()])
        await eventually(lambda: handle.deliveries == [1])
        assert await bus.queue.pending() == 1
        await eventually(bus.is_empty)
    assert handle.deliveries == [1, 2]


async def test_what_a_handler_raises_ends_the_intake(bus: Bus) -> None:
    async def fail(_: NatsMessage) -> Answer:
        raise ZeroDivisionError("a bug")

    app, intake = intake_of(bus.url)
    await bus.queue.put([task()])
    async with started(app):
        with pytest.raises(ZeroDivisionError):
            await intake.run(fail, asyncio.Event(), grace_s=1)
    assert await bus.queue.pending() == 1


async def test_after_an_outage_no_pull_from_before_is_answered(bus: Bus) -> None:
    """A pull that waited in the client's buffer would bring a message that nobody works on."""
    busy, most, go_on = 0, 0, asyncio.Event()

    async def work(_: NatsMessage) -> Answer:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await go_on.wait()
        busy -= 1
        return Done()

    async with working(bus, work, slots=2):
        bus.server.kill()
        bus.server.start()
        await eventually(lambda: bus.connection.client.is_connected)
        await bus.queue.put([task(index=index) for index in range(8)])
        await eventually(lambda: busy == 2)
        assert await bus.tasks_held() == 2
        go_on.set()
        await eventually(bus.is_empty)
    assert most == 2


async def test_a_server_that_says_no_is_not_silent(bus: Bus) -> None:
    await bus.connection.api(f"STREAM.DELETE.{TASKS}")
    port = urlsplit(bus.url).port
    app, intake = intake_of(f"nats://127.0.0.1:{port},nats://localhost:{port}")
    stop = asyncio.Event()
    with capture_logs() as logs:
        async with started(app), asyncio.TaskGroup() as group:
            group.create_task(intake.run(Answering(), stop, grace_s=1))
            await eventually(lambda: sum(entry["event"] == "cannot pull" for entry in logs) > SILENT_MAX)
            stop.set()
    assert [entry for entry in logs if "silent" in entry["event"]] == []


async def test_what_was_queued_survives_a_kill_and_what_was_done_stays_done(bus: Bus) -> None:
    handle = Answering(*[Done()] * 20)
    async with working(bus, handle):
        await bus.queue.put([task(1, index=index) for index in range(20)])
        await eventually(bus.is_empty)
    await bus.queue.put([task(2, index=index) for index in range(20)])
    bus.server.kill()
    bus.server.start()
    await eventually(lambda: bus.connection.client.is_connected)
    assert await bus.queue.pending() == 20


async def test_a_server_that_is_not_there_is_named_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.intake.CONNECT_S", 0.3)
    app, _ = intake_of("nats://127.0.0.1:1")
    with pytest.raises(LogUnavailable, match="--nats-url"):
        async with started(app):
            pass


def test_the_pause_between_pulls_that_fail_is_bounded_however_many_do() -> None:
    assert [longest_pause_s(failed) for failed in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert longest_pause_s(5_000) == PAUSE_MAX_S
