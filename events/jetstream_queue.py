"""The work queue on JetStream: each task a message at its subject, gone once a worker has acknowledged it.

Tasks are put as atomic batches that expect their subjects to be empty, which is fast, as all of them are new when a
cycle begins. Where a batch is refused or not answered they are put one by one, and each is new or is not; and where
some were not, as after a restart, no batch is tried again before all of a part are new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from events import frames, lookup, subjects
from events.connection import STORE_FAILED, TRY_S, Connection, Forbidden, NatsError, NoAnswer, Refused, parse
from events.ids import CycleId, Uid
from events.log import BATCH_MAX, Draft
from events.patience import Patience
from events.queue import QueueFull, QueueUnavailable
from events.queue_overview import Overview, overview_of
from events.stream_settings import TASKS, VERIFIERS, WORKERS
from events.tasks import Task

PATIENCE_S = 30.0


class JetStreamQueue:
    """A `TaskQueue` on the stream `KINITRO_TASKS`, which `ensure_streams` has created or checked."""

    def __init__(self, connection: Connection, *, patience_s: float = PATIENCE_S) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self._found_some = False
        """Whether some of the last part that was put were on the queue already."""

    async def put(self, tasks: Sequence[Task]) -> int:
        left = {subjects.task_of(task): task for task in tasks}
        added, patience = 0, Patience(self._patience_s)
        while left:
            part = dict(islice(left.items(), BATCH_MAX))
            bodies = {subject: task.model_dump_json().encode() for subject, task in part.items()}
            answered = {} if self._found_some else await self._put_batch(bodies)
            answered = answered or await self._put_each(bodies)
            self._found_some = not all(answered.values())
            for subject, is_new in answered.items():
                del left[subject]
                added += is_new
            if len(answered) == len(part):
                patience = Patience(self._patience_s)
            elif not await patience.pause():
                raise QueueUnavailable(f"{len(left)} of {len(tasks)} tasks got no answer in {self._patience_s:g} s")
        return added

    async def put_back(self, subject: str, body: bytes) -> bool:
        """Queues a task as it was, whichever version has made it. False if the queue holds one at its subject.

        Raises:
            QueueUnavailable, QueueFull: as `put`.
        """
        patience = Patience(self._patience_s)
        while True:
            answered = await self._put_each({subject: body})
            if subject in answered:
                return answered[subject]
            if not await patience.pause():
                raise QueueUnavailable(f"{subject}: no answer in {self._patience_s:g} s")

    async def overview(self) -> Overview:
        """What is on the queue now. 100,000 tasks take about a second.

        Raises:
            QueueUnavailable: no answer in time.
        """
        names: list[str] = []
        while True:
            request = {"subjects_filter": subjects.TASKS, "offset": len(names)}
            info = await self._api(f"STREAM.INFO.{TASKS}", request)
            page = info["state"].get("subjects") or {}
            names.extend(page)
            if not page or len(names) >= info.get("total", 0):
                break
        held = [await self._api(f"CONSUMER.INFO.{TASKS}.{name}") for name in (WORKERS, VERIFIERS)]
        return overview_of(names, *(int(each["num_ack_pending"]) for each in held))

    async def pending(self) -> int:
        info = await self._api(f"STREAM.INFO.{TASKS}")
        return int(info["state"]["messages"])

    async def purge_miner(self, cycle: CycleId, uid: Uid) -> int:
        return await self._purge(subjects.episodes_of(cycle, uid))

    async def purge_cycle(self, cycle: CycleId) -> int:
        return await self._purge(subjects.tasks(cycle))

    async def _purge(self, pattern: str) -> int:
        answer = await self._api(f"STREAM.PURGE.{TASKS}", {"filter": pattern})
        return int(answer["purged"])

    async def _put_batch(self, bodies: Mapping[str, bytes]) -> dict[str, bool]:
        """That all are new; empty if they are not, or it cannot be known."""
        drafts = [Draft(subject, subject, body) for subject, body in bodies.items()]
        try:
            await self._connection.ask(lambda reply: frames.append(drafts, reply))
        except Forbidden as error:
            raise QueueUnavailable(str(error)) from error
        except NatsError:
            return {}
        return dict.fromkeys(bodies, True)

    async def _put_each(self, bodies: Mapping[str, bytes]) -> dict[str, bool]:
        """By subject, where there was an answer: whether the task is new on the queue."""
        expected = {subject: self._connection.expect() for subject in bodies}
        try:
            messages = [frames.request(subject, expected[subject][0], body) for subject, body in bodies.items()]
            await self._connection.send(b"".join(messages))
            await asyncio.wait([answer for _, answer in expected.values()], timeout=TRY_S)
            news = {subject: _is_new(answer) for subject, (_, answer) in expected.items() if answer.done()}
            return {subject: is_new for subject, is_new in news.items() if is_new is not None}
        except NoAnswer:
            return {}
        finally:
            for reply, _ in expected.values():
                self._connection.forget(reply)

    async def _api(self, call: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await lookup.until_answered(lambda: self._connection.api(call, request), self._patience_s)
        except NatsError as error:
            raise QueueUnavailable(f"{call}: {error}") from error


def _is_new(answer: asyncio.Future[bytes]) -> bool | None:
    """None if it is no answer after all.

    Raises:
        QueueFull: the server's limits are reached.
    """
    try:
        parse(answer.result())
    except NoAnswer:
        return None
    except Refused as error:
        if error.code == STORE_FAILED and "per subject" in error.description:
            return False
        raise QueueFull(f"stream {TASKS} takes no more: {error}; let the workers catch up") from error
    return True
