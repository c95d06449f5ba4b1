"""The work queue: tasks that wait for a worker. It can be filled again from the log at any time.

QueueError
├── QueueUnavailable    no answer in time; put the same tasks again, none is queued twice
└── QueueFull           the server's limits are reached; let workers catch up, or raise them
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from events.for_people import ForPeople
from events.ids import CycleId, Uid
from events.tasks import Task


class QueueError(ForPeople):
    """The queue could not do what was asked."""


class QueueUnavailable(QueueError):
    """No answer in time. Some of the tasks may be queued: put all of them again."""


class QueueFull(QueueError):
    """No room for more tasks. Those before the limit are queued."""


class TaskQueue(Protocol):
    """Where the conductor puts work and workers find it, in order; done work is gone."""

    async def put(self, tasks: Sequence[Task]) -> int:
        """Queues each task whose episode or check is not on the queue already, and returns how many those were.

        A task that a worker holds but has not acknowledged is still on the queue. One whose first answer was lost
        is not counted.

        Raises:
            QueueUnavailable: no answer in time.
            QueueFull: the server's limits are reached.
        """
        ...

    async def pending(self) -> int:
        """How many tasks are waiting or being worked on.

        Raises:
            QueueUnavailable: no answer in time.
        """
        ...

    async def purge_miner(self, cycle: CycleId, uid: Uid) -> int:
        """Drops the tasks of one miner's episodes of a cycle, and returns how many those were.

        Those that workers hold are dropped too: they are run to their end, but not offered again.

        Raises:
            QueueUnavailable: no answer in time.
        """
        ...

    async def purge_cycle(self, cycle: CycleId) -> int:
        """Drops what is left of a cycle that has ended, and returns how many tasks those were.

        Raises:
            QueueUnavailable: no answer in time.
        """
        ...
