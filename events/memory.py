"""The log and the queue in a list: the same contract as on JetStream, for as long as the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from uuid import uuid4

from events import subjects
from events.ids import CycleId, EpisodeId, Uid
from events.log import Conflict, Draft, Filter, LogDamaged, Stored, check_drafts
from events.tasks import CheckTask, EpisodeTask, Task

READ_BATCH = 1_000


def matches(pattern: str, subject: str) -> bool:
    """Whether NATS would deliver `subject` to a subscription of `pattern` (`*`: one token, `>`: one or more)."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(w in ("*", g) for w, g in zip(wanted, given, strict=True))


class MemoryLog:
    """An `EventLog` in this process's memory."""

    def __init__(self) -> None:
        self._identity = str(uuid4())
        self._stored: list[Stored] = []
        self._ids: list[str] = []
        self._last: dict[str, int] = {}
        """Sequence of the last event by subject."""
        self._grown = asyncio.Condition()

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        check_drafts(drafts)
        missing = [draft for draft in drafts if not self._holds(draft)]
        for draft in missing:
            if (actual := self._last.get(draft.subject, 0)) != draft.expected_last:
                raise Conflict(draft.subject, draft.expected_last, actual)
            if draft.log_ends_at not in (None, end := len(self._stored)):
                raise Conflict("the whole log", draft.log_ends_at, end)
        for draft in missing:
            self._stored.append(Stored(len(self._stored) + 1, draft.subject, draft.body))
            self._ids.append(draft.id)
            self._last[draft.subject] = len(self._stored)
        async with self._grown:
            self._grown.notify_all()
        return [self._last[draft.subject] for draft in drafts]

    def _holds(self, draft: Draft) -> bool:
        sequence = self._last.get(draft.subject)
        return sequence is not None and self._ids[sequence - 1] == draft.id

    async def last(self, subject: str) -> Stored | None:
        sequence = self._last.get(subject)
        return None if sequence is None else self._stored[sequence - 1]

    async def at(self, sequence: int) -> Stored | None:
        return self._stored[sequence - 1] if 1 <= sequence <= len(self._stored) else None

    async def last_sequence(self) -> int:
        return len(self._stored)

    async def identity(self) -> str:
        return self._identity

    async def read(self, *, after: int = 0, subject: Filter = ">") -> AsyncGenerator[list[Stored], None]:
        end, patterns = len(self._stored), (subject,) if isinstance(subject, str) else subject
        for start in range(after, end, READ_BATCH):
            part = self._stored[start : min(start + READ_BATCH, end)]
            if batch := [stored for stored in part if any(matches(each, stored.subject) for each in patterns)]:
                yield batch

    async def follow(self, *, after: int = 0, subject: str = ">") -> AsyncGenerator[list[Stored], None]:
        if after > len(self._stored):
            raise LogDamaged(f"the log ends at sequence {len(self._stored)}, before {after}, which was seen already")
        position = after
        while True:
            async with self._grown:
                while len(self._stored) <= position:
                    await self._grown.wait()
            end = len(self._stored)
            async for batch in self.read(after=position, subject=subject):
                yield batch
            position = end


class MemoryQueue:
    """A `TaskQueue` in this process's memory. Tests take tasks from it as a worker would."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        """By subject, in the order in which they were put."""

    @property
    def waiting(self) -> dict[EpisodeId, EpisodeTask]:
        """Episodes to be run."""
        return {it.key.id: it for it in self._tasks.values() if isinstance(it, EpisodeTask)}

    @property
    def checks(self) -> list[CheckTask]:
        """Miners to be checked."""
        return [it for it in self._tasks.values() if isinstance(it, CheckTask)]

    def done(self, task: Task) -> None:
        """Takes it from the queue."""
        self._tasks.pop(subjects.task_of(task), None)

    async def put(self, tasks: Sequence[Task]) -> int:
        before = len(self._tasks)
        for task in tasks:
            self._tasks.setdefault(subjects.task_of(task), task)
        return len(self._tasks) - before

    async def pending(self) -> int:
        return len(self._tasks)

    async def purge_miner(self, cycle: CycleId, uid: Uid) -> int:
        return self._purge(subjects.episodes_of(cycle, uid))

    async def purge_cycle(self, cycle: CycleId) -> int:
        return self._purge(subjects.tasks(cycle))

    def _purge(self, pattern: str) -> int:
        purged = [subject for subject in self._tasks if matches(pattern, subject)]
        for subject in purged:
            del self._tasks[subject]
        return len(purged)
