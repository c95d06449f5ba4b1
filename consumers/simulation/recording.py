"""What a worker keeps of each episode, so that anybody can run it again."""

from __future__ import annotations

import structlog

from events.tasks import EpisodeTask
from events.traces import TraceNotKept, TraceStore
from sim.episode import EpisodeForfeit, EpisodeResult
from sim.record import Record, encode_record

log = structlog.stdlib.get_logger(__name__)


class TraceKeeper:
    """Stores the recording of an episode before its outcome is appended, so that whoever sees one finds the other.

    A result is worth more than its recording: where that cannot be stored in a few seconds, it is done without, and
    the log of the worker says why. Otherwise a full disk of recordings would stop the evaluation.
    """

    def __init__(self, store: TraceStore) -> None:
        self._store = store

    async def __call__(self, task: EpisodeTask, ending: EpisodeResult | EpisodeForfeit, attempt: int) -> None:
        body = encode_record(record_of(task, ending, attempt))
        try:
            await self._store.keep(task.key, attempt, ending.physics.action_digest, body)
        except TraceNotKept as error:
            log.warning("an episode's recording is not kept, it cannot be replayed", reason=str(error))


def record_of(task: EpisodeTask, ending: EpisodeResult | EpisodeForfeit, attempt: int) -> Record:
    """Neither the seed, which the seal opens, nor the endpoint, which is nobody else's, are in it."""
    about = {
        "episode": task.key.id,
        "attempt": attempt,
        "observation_profile": task.terms.observation_profile,
        "steps_max": task.terms.steps_max,
        "variation": task.terms.variation.model_dump(),
    }
    return Record(trace=ending.trace, track=ending.track, variation=ending.physics.variation, about=about)
