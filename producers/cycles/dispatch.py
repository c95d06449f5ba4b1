"""Puts a cycle's tasks on the work queue, a chunk at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice

from events.ids import EpisodeKey, Uid
from events.queue import QueueFull, TaskQueue
from producers.cycles.state import CycleState
from producers.cycles.tasks import EpisodeTasks

CHUNK = 500
FULL_WAIT_S = 1.0
"""How long workers get to make room in a full queue."""


class Dispatch:
    """One pass over the episodes that are wanted, in the order of `EpisodeTasks`; `restart` begins another.

    Before each chunk it does what has become of miners meanwhile: the tasks of one that is set aside leave the queue,
    those of one that is waited for again, and probes, are put at the end of the pass.
    """

    def __init__(self, state: CycleState, tasks: EpisodeTasks, queue: TaskQueue) -> None:
        self._state = state
        self._tasks = tasks
        self._queue = queue
        self._withheld: dict[Uid, EpisodeKey | None] = {}
        """Miners whose tasks were taken from the queue, and their probes, as `Chances.withheld` was."""
        self.restart()

    def restart(self) -> None:
        self.finished = False
        """Whether every episode that is wanted was offered to the queue in this pass."""
        self._ahead: Iterator[EpisodeKey] = self._tasks.keys()
        self._again: set[Uid] = set()
        """Miners whose episodes are gone through once more after that."""
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
        await self._follow_chances()
        if not self.ready:
            return 0
        # What a full queue took before it was full may be done by now, and must not take the others' room again.
        self._chunk = list(self._wanted(self._chunk)) or self._next_chunk()
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

    async def _follow_chances(self) -> None:
        withheld = self._state.chances.withheld()
        for uid in withheld.keys() - self._withheld.keys():
            await self._queue.purge_miner(self._state.cycle, uid)
            self._withheld[uid] = None
        back = self._withheld.keys() - withheld.keys()
        probed = {uid for uid, probe in withheld.items() if probe is not None and probe != self._withheld[uid]}
        self._withheld = withheld
        if back or probed:
            self._again |= back | probed
            self.finished = False

    def _next_chunk(self) -> list[EpisodeKey]:
        chunk = list(islice(self._wanted(self._ahead), CHUNK))
        if not chunk and self._again:
            uids, self._again = self._again, set()
            self._ahead = filter(lambda key: key.uid in uids, self._tasks.keys())
            chunk = list(islice(self._wanted(self._ahead), CHUNK))
        return chunk

    def _wanted(self, keys: Iterable[EpisodeKey]) -> Iterator[EpisodeKey]:
        return (key for key in keys if self._state.wanted(key))
