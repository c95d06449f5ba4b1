"""Puts a cycle's tasks on the work queue, a chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice

from events.ids import EpisodeKey
from events.queue import QueueFull, TaskQueue
from producers.cycles.state import CycleState, Outcome
from producers.cycles.tasks import EpisodeTasks

CHUNK = 500
FULL_WAIT_S = 1.0
"""How long workers get to make room in a full queue."""


class Dispatch:
    """One pass over the episodes without an outcome, in the order of `EpisodeTasks`; `restart` begins another."""

    def __init__(self, state: CycleState, tasks: EpisodeTasks, queue: TaskQueue) -> None:
        self._state = state
        self._tasks = tasks
        self._queue = queue
        self.restart()

    def restart(self) -> None:
        self.finished = False
        """Whether every episode that has no outcome was offered to the queue in this pass."""
        self._ahead: Iterator[EpisodeKey] = self._tasks.keys()
        self._chunk: list[EpisodeKey] = []
        self._full_until = 0.0
        """When a queue that was full is tried again, on the monotonic clock."""

    @property
    def ready(self) -> bool:
        """Whether there is more to put now."""
        return not self.finished and time.monotonic() >= self._full_until

    async def put_chunk(self) -> int:
        """Puts the next tasks, if it is time, and returns how many of them the queue did not hold.

        Raises:
            QueueUnavailable: no answer in time; the same chunk comes again.
        """
        if not self.ready:
            return 0
        # What a full queue took before it was full may be done by now, and must not take the others' room again.
        self._chunk = list(self._without_outcome(self._chunk)) or list(
            islice(self._without_outcome(self._ahead), CHUNK)
        )
        if not self._chunk:
            self.finished = True
            return 0
        try:
            queued = await self._queue.put([self._tasks.task(key) for key in self._chunk])
        except QueueFull:
            self._full_until = time.monotonic() + FULL_WAIT_S
            return 0
        self._chunk = []
        return queued

    def _without_outcome(self, keys: Iterable[EpisodeKey]) -> Iterator[EpisodeKey]:
        return (key for key in keys if self._state.outcome(key) is Outcome.MISSING)
