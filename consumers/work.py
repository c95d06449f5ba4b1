"""One unit of work from JetStream: held by a lease, ended by one answer.

| answer       | meaning                                            | the message                 |
|--------------|----------------------------------------------------|-----------------------------|
| `Done`       | settled, by us or by somebody else                 | is acknowledged, and gone   |
| `RetryAfter` | not settled, for a reason of ours                  | comes back after the delay  |
| `LetGo`      | somebody else has taken it over                    | is left to whom it is       |
| `Drop`       | nobody of this version can ever settle it          | is terminated, loudly, once |
|              |                                                    | it is kept as a dead letter |

A handler that dies without an answer gives none: the message comes back when its lease ends. So does a message whose
dead letter cannot be kept, after a delay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import nats.errors
import structlog
from faststream.nats import NatsMessage

from events.dead_letters import DeadLetterError, DeadLetters

HEARTBEATS_PER_LEASE = 3
RETRY_BASE_S, RETRY_MAX_S, RETRY_DOUBLINGS = 1.0, 60.0, 6

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """Settled. Working on it again would change nothing."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Not settled; somebody shall try again, `delay_s` seconds from now."""

    delay_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Our lease ran out and somebody else works on it. Any answer of ours would be taken for theirs."""

    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Not settled, and we never will. `reason` says what is wrong with it and where it may come from."""

    reason: str
    see: str | None = None
    """The command that shows what was kept of it."""


Answer = Done | RetryAfter | LetGo | Drop


@dataclass(frozen=True, slots=True)
class Burial:
    """Where dropped messages are kept, and who drops them."""

    letters: DeadLetters
    worker: str

    async def of(self, message: NatsMessage, drop: Drop) -> Answer:
        """Keeps the message, and returns the answer that may be given then."""
        raw = message.raw_message
        delivery = raw.metadata.num_delivered
        try:
            await self.letters.keep(
                raw.subject, raw.data, reason=drop.reason, worker=self.worker, deliveries=delivery
            )
        except DeadLetterError as error:
            reason = f"its dead letter cannot be kept: {error}; it is one because: {drop.reason}"
            return RetryAfter(retry_delay_s(delivery, random.Random()), reason)
        return replace(drop, see=f"kinitro tasks show {raw.subject}")


async def work_on(
    message: NatsMessage,
    handle: Callable[[NatsMessage], Awaitable[Answer]],
    *,
    lease_s: float,
    burial: Burial | None = None,
) -> Answer:
    """Handles the message while its lease is kept alive, then answers it. Cancelled, it hands the message back.

    Without a `burial`, of what is dropped nothing is kept.

    What the handler raises is raised here too, and leaves the message without an answer.
    """
    try:
        async with leased(message, lease_s):
            answer = await handle(message)
            if burial is not None and isinstance(answer, Drop):
                answer = await burial.of(message, answer)
    except asyncio.CancelledError:
        await respond(message, RetryAfter(0, "this worker is stopping"))
        raise
    await respond(message, answer)
    return answer


@asynccontextmanager
async def leased(message: NatsMessage, lease_s: float) -> AsyncIterator[None]:
    """Tells the server, every third of the lease, that the message is being worked on."""
    heartbeats = asyncio.create_task(_heartbeats(message, lease_s / HEARTBEATS_PER_LEASE))
    try:
        yield
    finally:
        heartbeats.cancel()


async def respond(message: NatsMessage, answer: Answer) -> None:
    """Gives the answer. One that does not reach the server is as good as none: the lease ends."""
    try:
        match answer:
            case Done():
                await message.ack()
            case RetryAfter(delay_s, reason):
                log.warning("work comes back", subject=message.raw_message.subject, delay_s=delay_s, reason=reason)
                await message.nack(delay=delay_s)
            case LetGo(reason):
                log.warning("work let go", subject=message.raw_message.subject, reason=reason)
            case Drop(reason, see):
                log.error(
                    "work dropped",
                    subject=message.raw_message.subject,
                    reason=reason,
                    **({"see": see} if see else {}),
                )
                await message.reject()
    except nats.errors.Error as error:
        log.warning("answer not sent", subject=message.raw_message.subject, answer=answer, error=repr(error))


def retry_delay_s(failed: int, rng: random.Random) -> float:
    """Seconds to wait after the `failed`-th (1, 2, ...) failure: doubling up to a minute, give or take a half."""
    return min(RETRY_BASE_S * 2.0 ** min(failed - 1, RETRY_DOUBLINGS), RETRY_MAX_S) * rng.uniform(0.5, 1.5)


async def _heartbeats(message: NatsMessage, period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await message.in_progress()
        except nats.errors.Error as error:
            log.warning("heartbeat not sent", subject=message.raw_message.subject, error=repr(error))
