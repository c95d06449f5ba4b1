from __future__ import annotations

import pytest

from events.connection import Connection
from events.jetstream import JetStreamLog
from events.jetstream_queue import JetStreamQueue
from events.log import EventLog
from events.queue import QueueFull, TaskQueue
from events.streams import TASKS
from tests.contracts.event_log import EventLogContract, drafts
from tests.contracts.task_queue import TaskQueueContract, tasks


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
