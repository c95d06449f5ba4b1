"""The life of one episode's task in a worker.

            ┌─ no task at all ──────────────────────────────────────────────── Drop
    message ┤
            └─ task ┬─ has an outcome ──────────────────────────────────────── Done
                    ├─ has attempts of a newer version: not ours to go on ──── Drop
                    └─ has none ┬─ an earlier attempt was lost: recorded
                                ├─ attempts exhausted: EpisodeAbandoned ────── Done
                                └─ attempt ┬─ ran:    EpisodeCompleted ─────── Done
                                           ├─ policy: EpisodeForfeited ─────── Done
                                           ├─ we:     EpisodeAttemptFailed ┬── RetryAfter
                                           │           on the last attempt └── Done, with EpisodeAbandoned
                                           └─ stopped: the same, as handed back; it does not count

Whether it was the policy or us, where a policy seems unreachable, is for `consumers.simulation.blame` to say.
Every append expects an empty subject. A conflict means that somebody else was faster: the log is right.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import count
from traceback import format_exc

import structlog
from faststream.nats import NatsMessage

from consumers.simulation.blame import TryAgain, verdict
from consumers.simulation.network import OwnNetwork
from consumers.simulation.outcomes import (
    MalformedTask,
    abandoned,
    attempt_failed,
    attempt_lost,
    attempt_was_lost,
    failures,
    handed_back,
    our_network,
    outcome_of,
    parse_task,
)
from consumers.work import Answer, Done, Drop, LetGo, RetryAfter, retry_delay_s
from events import subjects
from events.codec import CodecError, decode, draft
from events.envelope import follow
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited, FailureCode
from events.ids import EpisodeKey
from events.log import Conflict, EventLog, LogUnavailable
from events.tasks import EpisodeTask
from sim.episode import EpisodeForfeit, EpisodeResult
from sim.http.failures import concealed
from sim.policy import printable

SOURCE = "/kinitro/worker"
HAND_BACK_S = 5.0
"""How long it may take to say that an attempt is handed back: half of what the message's own way back may."""

AttemptEvent = EpisodeCompleted | EpisodeForfeited | EpisodeAttemptFailed
EpisodeEvent = AttemptEvent | EpisodeAbandoned
Run = Callable[[EpisodeTask], Awaitable[EpisodeResult | EpisodeForfeit]]
Keep = Callable[[EpisodeTask, EpisodeResult | EpisodeForfeit, int], Awaitable[None]]
"""From a task, how it ended and in which attempt."""

log = structlog.stdlib.get_logger(__name__)


class EpisodeHandler:
    """Turns tasks into outcomes. Which worker, and which attempt, changes nothing but what is said about them."""

    def __init__(
        self,
        events: EventLog,
        run: Run,
        *,
        own_network: OwnNetwork,
        worker: str,
        keep: Keep | None = None,
        told_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """`run` runs one episode; whatever it raises is our failure. `worker` is the name that events carry.

        `keep` stores what was recorded of an episode, before its outcome says so; it raises nothing.

        `told_to_stop`: whether a cancelled attempt is one that is handed back. A worker that ends because it cannot
        go on says nothing of its episodes: one of them may be why, and has to count.

        While the log is away results wait in its `append`: give it the patience that a result deserves.
        """
        self._events = events
        self._run = run
        self._own_network = own_network
        self._worker = worker
        self._keep = keep
        self._told_to_stop = told_to_stop
        self._running: set[EpisodeKey] = set()
        self._rng = random.Random()

    async def __call__(self, message: NatsMessage) -> Answer:
        return await self.handle(message.body, delivery=message.raw_message.metadata.num_delivered)

    async def handle(self, body: bytes, *, delivery: int) -> Answer:
        """One delivery of a message, the `delivery`-th (1, 2, ...) of its kind."""
        try:
            task = parse_task(body)
        except MalformedTask as error:
            return Drop(str(error))
        if task.key in self._running:
            return LetGo("this worker runs the episode already: its lease ran out while the server was away")
        self._running.add(task.key)
        bound = {"cycle": task.cycle, "uid": task.uid, "env": task.env, "index": task.index}
        try:
            with structlog.contextvars.bound_contextvars(**bound):
                return await self._settle_or_give_way(task, delivery)
        except CodecError as error:
            return Drop(f"an earlier attempt cannot be read, so nobody here can go on: {error}")
        except LogUnavailable as error:
            return RetryAfter(retry_delay_s(delivery, self._rng), f"the log is away: {error}")
        finally:
            self._running.discard(task.key)

    async def _settle_or_give_way(self, task: EpisodeTask, delivery: int) -> Answer:
        try:
            return await self._settle(task, delivery)
        except Conflict as conflict:
            if await self._has(subjects.outcome(task.key)):
                return Done()
            return LetGo(f"another worker has taken the episode over: {conflict}")

    async def _settle(self, task: EpisodeTask, delivery: int) -> Answer:
        if await self._has(subjects.outcome(task.key)):
            return Done()
        earlier = await self._failed_attempts(task.key)
        if attempt_was_lost(delivery, len(earlier)):
            lost = attempt_lost(task, attempt=len(earlier) + 1, worker=self._worker)
            await self._append(task, lost)
            earlier.append(lost.code)
        if failures(earlier) >= task.terms.attempts_max:
            await self._append(task, abandoned(task, earlier))
            return Done()
        try:
            event = await self._attempt(task, earlier)
        except asyncio.CancelledError:
            if self._told_to_stop():
                await self._hand_back(task, len(earlier) + 1)
            raise
        return await self._record(task, event, earlier)

    async def _hand_back(self, task: EpisodeTask, attempt: int) -> None:
        """Says so, that the attempt is not taken for lost; as which it counts where this cannot be said in time."""
        with contextlib.suppress(Conflict, LogUnavailable, TimeoutError):
            async with asyncio.timeout(HAND_BACK_S):
                await self._append(task, handed_back(task, attempt=attempt, worker=self._worker))

    async def _failed_attempts(self, key: EpisodeKey) -> list[FailureCode]:
        """How each attempt so far failed, by the log."""
        codes: list[FailureCode] = []
        for attempt in count(1):
            stored = await self._events.last(subjects.attempt(key, attempt))
            if stored is None:
                break
            event = decode(stored).event
            assert isinstance(event, EpisodeAttemptFailed), f"{stored.subject} holds {event.type}"
            codes.append(event.code)
        return codes

    async def _attempt(self, task: EpisodeTask, earlier: Sequence[FailureCode]) -> AttemptEvent:
        """One attempt, told as an event. Whatever is raised on the way is our failure."""
        attempt = len(earlier) + 1
        try:
            ending = await self._ending(task, earlier)
            event = _event_of(task, ending, attempt=attempt, worker=self._worker)
        except Exception as error:  # noqa: BLE001  # it becomes an event, and is logged without the endpoint
            log.error("attempt failed", attempt=attempt, exception=concealed(format_exc(), task.endpoint))  # noqa: TRY400
            return attempt_failed(task, error, attempt=attempt, worker=self._worker)
        if self._keep is not None and not isinstance(ending, TryAgain):
            await self._keep(task, ending, attempt)
        return event

    async def _ending(
        self, task: EpisodeTask, earlier: Sequence[FailureCode]
    ) -> EpisodeResult | EpisodeForfeit | TryAgain:
        """How the episode ended; a forfeit is one only if the policy is to blame."""
        ending = await self._run(task)
        if isinstance(ending, EpisodeResult):
            return ending
        check = await self._own_network.check(task.endpoint, ending.doubt)
        counted = [code for code in earlier if code.counts]
        blame = verdict(ending, check, counted, attempts_max=task.terms.attempts_max)
        if isinstance(blame, TryAgain):
            return blame
        return replace(ending, detail=printable(blame.detail))

    async def _record(self, task: EpisodeTask, event: AttemptEvent, earlier: Sequence[FailureCode]) -> Answer:
        if not isinstance(event, EpisodeAttemptFailed):
            await self._append(task, event)
            return Done()
        attempts = (*earlier, event.code)
        if failures(attempts) >= task.terms.attempts_max:
            await self._append(task, event, abandoned(task, attempts))
            return Done()
        await self._append(task, event)
        return RetryAfter(retry_delay_s(event.attempt, self._rng), event.detail)

    async def _has(self, subject: str) -> bool:
        return await self._events.last(subject) is not None

    async def _append(self, task: EpisodeTask, *events: EpisodeEvent) -> None:
        """Appends all or none.

        Raises:
            Conflict: somebody else's event stands in the place of one of them.
            LogUnavailable: the log was away for longer than its patience.
        """
        envelopes = [follow(it, cause=task.cause, correlation=task.correlation, source=SOURCE) for it in events]
        await self._events.append([draft(envelope) for envelope in envelopes])
        for event in events:
            log.info(event.type, **_metrics(event))


def _event_of(
    task: EpisodeTask, ending: EpisodeResult | EpisodeForfeit | TryAgain, *, attempt: int, worker: str
) -> AttemptEvent:
    if isinstance(ending, TryAgain):
        return our_network(task, ending.detail, attempt=attempt, worker=worker)
    return outcome_of(task, ending, attempt=attempt, worker=worker)


def _metrics(event: EpisodeEvent) -> dict[str, object]:
    match event:
        case EpisodeCompleted():
            return {
                "attempt": event.attempt,
                "success": event.success,
                "steps": event.steps,
                "total_reward": round(event.total_reward, 3),
                "act_p50_ms": event.latency.p50_ms,
                "duration_s": event.duration_s,
            }
        case EpisodeForfeited():
            return {
                "attempt": event.attempt,
                "code": event.code.value,
                "detail": event.detail,
                "steps": event.steps,
                "act_p50_ms": event.latency.p50_ms,
                "duration_s": event.duration_s,
            }
        case EpisodeAttemptFailed():
            return {"attempt": event.attempt, "code": event.code.value, "detail": event.detail}
        case EpisodeAbandoned():
            return {"attempts": event.attempts, "code": event.code.value, "detail": event.detail}
