from __future__ import annotations

from contextlib import aclosing

import pytest

from events import reader
from events.connection import Connection
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import EventLog
from events.queue import QueueFull, TaskQueue
from events.stream_settings import EVENTS, TASKS
from tests.contracts.event_log import EventLogContract, drafts
from tests.contracts.task_queue import TaskQueueContract, tasks
from tests.eventually import eventually


class TestJetStreamLog(EventLogContract):
    @pytest.fixture
    def log(self, event_log: JetStreamLog) -> EventLog:
        return event_log

    @pytest.mark.parametrize(("after", "last"), [(0, 1), (0, 40), (7, 23), (39, 40), (30, 99), (40, 50)])
    async def test_a_stretch_is_read_to_its_end_and_not_beyond(
        self, event_log: JetStreamLog, after: int, last: int
    ) -> None:
        await event_log.append(drafts(40))
        read = [stored.sequence async for batch in event_log.stretch(after=after, last=last) for stored in batch]
        assert read == list(range(after + 1, min(last, 40) + 1))

    async def test_what_comes_while_nobody_waits_stays_with_the_server_and_comes_at_once(
        self, nats: Connection, event_log: JetStreamLog
    ) -> None:
        await event_log.append(drafts(5, prefix="evt.before"))
        async with aclosing(event_log.follow()) as batches:
            await anext(batches)
            (consumer,) = (await nats.api(f"CONSUMER.NAMES.{EVENTS}"))["consumers"]
            await eventually(lambda: _nothing_asked(nats, consumer), reader.POLL_S / 2)
            for later in drafts(20, prefix="evt.later"):
                await event_log.append([later])
            assert (await nats.api(f"CONSUMER.INFO.{EVENTS}.{consumer}"))["num_pending"] == 20
            assert [stored.sequence for stored in await anext(batches)] == list(range(6, 26))


async def _nothing_asked(nats: Connection, consumer: str) -> bool:
    return bool((await nats.api(f"CONSUMER.INFO.{EVENTS}.{consumer}"))["num_waiting"] == 0)


class TestJetStreamQueue(TaskQueueContract):
    @pytest.fixture
    def queue(self, task_queue: JetStreamQueue) -> TaskQueue:
        return task_queue

    async def test_a_limit_of_the_server_is_said(self, nats: Connection, queue: TaskQueue) -> None:
        config = (await nats.api(f"STREAM.INFO.{TASKS}"))["config"]
        await nats.api(f"STREAM.UPDATE.{TASKS}", {**config, "max_msgs": 5})
        with pytest.raises(QueueFull, match="takes no more"):
            await queue.put(tasks(10))
        assert await queue.pending() == 5
