from __future__ import annotations

import pytest

from events.log import EventLog, LogDamaged
from events.memory import MemoryLog, MemoryQueue, matches
from events.queue import TaskQueue
from tests.contracts.event_log import EventLogContract
from tests.contracts.task_queue import TaskQueueContract


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryLog()

    async def test_a_follower_from_beyond_the_end_is_told_that_events_are_lost(self, log: EventLog) -> None:
        with pytest.raises(LogDamaged, match="ends at sequence 0, before 1"):
            await anext(log.follow(after=1))


class TestMemoryQueue(TaskQueueContract):
    @pytest.fixture
    def queue(self) -> TaskQueue:
        return MemoryQueue()


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        (">", "a", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
    ],
)
def test_filters_match_as_in_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected
