"""From events to other people's servers: each endpoint at its own pace, at least once, with the event's id.

Every endpoint has a durable of its own, so that a dead one holds up none of the others; and of the events for one
endpoint, one that is refused holds up none of the others either. A receiver that minds the order finds the numbers of
the cycles in the events. Nothing is appended: whom an operator tells is no fact about the evaluation.

    message ─┬─ no event at all ─────────────── Drop
             ├─ not one of `TOLD` ───────────── Done
             └─ sent ┬─ 2xx ─────────────────── Done
                     ├─ 410 ─────────────────── Done, and the endpoint gets nothing more until the next start
                     ├─ failed, within a day ── RetryAfter, longer each time
                     └─ failed, after a day ─── Done, with an error in our log
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from consumers.intake import Intake, broker_for, started
from consumers.webhooks.delivery import Endpoint, Result
from consumers.work import Answer, Done, Drop, LetGo, RetryAfter
from events import subjects
from events.connection import connect
from events.cycles import CycleAbandoned, CycleSealed
from events.discovery import DiscoveryDegraded, DiscoveryRestored
from events.envelope import Clock, utc_now
from events.stream_settings import ACK_WAIT_S, EVENTS
from events.streams import ensure_streams
from events.verification import VerificationFailed
from events.weights import WeightsComputed, WeightsWithheld

TOLD = frozenset(
    kind.type
    for kind in (
        CycleSealed,
        CycleAbandoned,
        WeightsComputed,
        WeightsWithheld,
        VerificationFailed,
        DiscoveryDegraded,
        DiscoveryRestored,
    )
)
"""The types of events that are sent: results, and what an operator wants to be woken up for."""
SUBJECTS = (subjects.SEALS, subjects.WEIGHTS, subjects.VERIFICATIONS, subjects.DISCOVERY)

IN_FLIGHT = 4
GRACE_S = 5.0
FORGOTTEN_AFTER = timedelta(days=7)
"""The server removes the durable of an endpoint that nobody serves any more."""

Told = Callable[[str, Result], None]
"""Is told of each attempt: the endpoint's place, and the result."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long, and how often, an event is tried."""

    first_s: float = 5.0
    """The pause after the first failure; each one after it is four times as long, up to `longest_s`."""
    longest_s: float = 3600.0
    within: timedelta = timedelta(days=1)
    """Counted from when the event was appended. It is also how far back a new endpoint is told."""

    def pause_s(self, attempts: int, rng: random.Random) -> float:
        """After so many failed attempts, 1 or more."""
        return min(self.first_s * 4.0 ** min(attempts - 1, 20), self.longest_s) * rng.uniform(0.8, 1.2)


class Webhooks:
    """Hands events to one endpoint."""

    def __init__(
        self, endpoint: Endpoint, persistence: Persistence, *, told: Told | None = None, clock: Clock = utc_now
    ) -> None:
        self._endpoint = endpoint
        self._persistence = persistence
        self._told = told
        self._clock = clock
        self._rng = random.Random()
        self.gone = asyncio.Event()
        """Set when the endpoint wants no more."""

    async def __call__(self, message: NatsMessage) -> Answer:
        if self.gone.is_set():
            return LetGo("the endpoint is gone")
        try:
            event = json.loads(message.body)
            kind, identity = str(event["type"]), str(event["id"])
        except (ValueError, KeyError, TypeError) as error:
            return Drop(f"no event, nobody is told of it: {error!r}")
        if kind not in TOLD:
            return Done()
        attempt = await self._endpoint.deliver(identity, message.body)
        if self._told is not None:
            self._told(self._endpoint.place, attempt.result)
        about = {"endpoint": self._endpoint.place, "type": kind, "id": identity}
        if attempt.result is Result.DELIVERED:
            log.info("webhook delivered", **about)
            return Done()
        if attempt.result is Result.GONE:
            log.warning("webhook endpoint is gone: it gets nothing more until the next start", **about)
            self.gone.set()
            return Done()
        metadata = message.raw_message.metadata
        if self._clock() - metadata.timestamp >= self._persistence.within:
            log.error("webhook given up", attempts=metadata.num_delivered, detail=attempt.detail, **about)
            return Done()
        pause_s = self._persistence.pause_s(metadata.num_delivered, self._rng)
        return RetryAfter(pause_s, f"webhook {identity} to {self._endpoint.place}: {attempt.detail}")


async def run_webhooks(
    nats_url: str,
    urls: Sequence[str],
    secret: bytes,
    stop: asyncio.Event,
    *,
    replicas: int = 1,
    persistence: Persistence | None = None,
    timeout_s: float | None = None,
    told: Told | None = None,
) -> None:
    """Tells all of these endpoints of what happens until `stop`. Several may run: each event is told by one of them.

    Raises:
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
    """
    async with await connect(nats_url, "webhooks") as connection:
        await ensure_streams(connection, replicas=replicas)
    try:
        async with asyncio.TaskGroup() as group:
            for url in dict.fromkeys(urls):
                endpoint = Endpoint(url, secret) if timeout_s is None else Endpoint(url, secret, timeout_s=timeout_s)
                group.create_task(_serve(nats_url, url, endpoint, persistence or Persistence(), stop, told))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _serve(
    nats_url: str, url: str, endpoint: Endpoint, persistence: Persistence, stop: asyncio.Event, told: Told | None
) -> None:
    async with endpoint:
        webhooks = Webhooks(endpoint, persistence, told=told)
        app, intake = application(nats_url, url, persistence)
        async with started(app):
            over = asyncio.Event()
            watchers = [asyncio.create_task(_set_after(event, over)) for event in (stop, webhooks.gone)]
            try:
                await intake.run(webhooks, over, grace_s=GRACE_S)
            finally:
                for watcher in watchers:
                    watcher.cancel()


async def _set_after(event: asyncio.Event, then: asyncio.Event) -> None:
    await event.wait()
    then.set()


def durable(url: str) -> str:
    """The name of an endpoint's cursor. It tells nothing of the URL, which may hold a secret."""
    return f"webhooks-{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def application(nats_url: str, url: str, persistence: Persistence) -> tuple[FastStream, Intake]:
    """What serves one endpoint, as a FastStream application, and its intake. Connects to nothing yet.

    The durable begins a day back, as far as anything is tried: if the server has lost it, an endpoint is told again
    what it may have been told before, and misses nothing.
    """
    broker = broker_for(nats_url)
    consumer = ConsumerConfig(
        durable_name=durable(url),
        filter_subjects=list(SUBJECTS),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=utc_now() - persistence.within,
        inactive_threshold=FORGOTTEN_AFTER.total_seconds(),
    )
    return FastStream(broker, logger=None), Intake(
        broker, stream=EVENTS, consumer=consumer, slots=IN_FLIGHT, title="webhooks"
    )
