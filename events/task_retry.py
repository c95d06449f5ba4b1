"""Puts a task that was given up on the work queue again, if anything can still come of it."""

from __future__ import annotations

from enum import Enum

import orjson

from events import subjects
from events.dead_letters import DeadLetters, Filed
from events.episodes import EpisodeAbandoned
from events.jetstream_queue import JetStreamQueue
from events.log import EventLog, Stored


class Retried(Enum):
    """What has become of a letter that could be retried."""

    QUEUED = "on the queue again"
    QUEUED_ALREADY = "on the queue already"


async def retry(filed: Filed, *, log: EventLog, queue: JetStreamQueue, letters: DeadLetters) -> Retried | str:
    """Puts the task back; or why that would be pointless. In both cases the letter is removed.

    A crash in between leaves the letter and the task, and doing it again is harmless.

    Raises:
        LogUnavailable, QueueError, LettersUnavailable: the letter is still there.
    """
    pointless = await _why_pointless(filed.task, log)
    if pointless is None:
        added = await queue.put_back(filed.task, filed.letter.body)
    await letters.remove(filed)
    if pointless is not None:
        return pointless
    return Retried.QUEUED if added else Retried.QUEUED_ALREADY


async def _why_pointless(task: str, log: EventLog) -> str | None:
    settling = subjects.settling(task)
    if settling is None:
        return "its subject is that of no episode and no check, so nobody would take it"
    if (outcome := await log.last(settling.outcome)) is not None:
        return _settled(outcome)
    if (seal := await log.last(settling.seal)) is not None:
        return f"its cycle has ended (sequence {seal.sequence})"
    return None


def _settled(outcome: Stored) -> str:
    kind = orjson.loads(outcome.body)["type"]
    if kind == EpisodeAbandoned.type:
        return f"the episode was abandoned (sequence {outcome.sequence}); that is its outcome, and stands for ever"
    return f"it has its outcome, {kind} (sequence {outcome.sequence}), which stands for ever"
