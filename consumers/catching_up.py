"""What follows from events of one kind, in their order: a base for consumers that append facts about facts.

The log says what is to be done: every such event of which nothing has followed yet. A message only says that there is
something new, so nothing is lost with a lost message or a lost durable, and nothing changes when one comes twice.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from consumers.intake import Intake, broker_for, started
from consumers.work import Answer, Done, RetryAfter
from events.codec import decode
from events.connection import connect
from events.envelope import RecordedEvent
from events.event import Event
from events.jetstream import JetStreamLog
from events.log import EventLog, LogUnavailable
from events.stream_settings import ACK_WAIT_S, EVENTS
from events.streams import ensure_streams

RETRY_S = 1.0
GRACE_S = 30.0


class CatchingUp(ABC):
    """Settles each event at `subject`, in log order."""

    durable: ClassVar[str]
    subject: ClassVar[str]
    """The filter that selects what is to be settled."""
    title: ClassVar[str]
    """What these events are called, in the plural."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._position = 0
        """Sequence of the last event that is known to be settled."""

    @abstractmethod
    async def _settle(self, recorded: RecordedEvent[Event]) -> None:
        """Appends what follows from this event, or finds it there. May be called again with the same one."""

    async def catch_up(self) -> None:
        """Settles what is not. Not to be called again before it has ended.

        Raises:
            CodecError: an event cannot be read.
            LogUnavailable: no answer in time.
        """
        async for batch in self._events.read(after=self._position, subject=self.subject):
            for stored in batch:
                await self._settle(decode(stored))
                self._position = stored.sequence

    async def __call__(self, message: NatsMessage) -> Answer:
        try:
            await self.catch_up()
        except LogUnavailable as error:
            return RetryAfter(RETRY_S, f"the log is away: {error}")
        told_at = message.raw_message.metadata.sequence.stream
        if self._position < told_at:
            return RetryAfter(RETRY_S, f"of the {self.title} that at {told_at} cannot be read yet")
        return Done()


async def run_catching_up(
    kind: type[CatchingUp],
    nats_url: str,
    begin: Callable[[EventLog], CatchingUp],
    stop: asyncio.Event,
    *,
    replicas: int,
) -> None:
    """Settles what comes until `stop`. `begin` makes the one of its kind that reads this log.

    Raises:
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
        What settling an event raises; no later one is settled then.
    """
    async with await connect(nats_url, kind.durable) as connection:
        await ensure_streams(connection, replicas=replicas)
        consumer = begin(JetStreamLog(connection))
        await consumer.catch_up()
        app, intake = application(kind, nats_url)
        async with started(app):
            await intake.run(consumer, stop, grace_s=GRACE_S)


def application(kind: type[CatchingUp], nats_url: str) -> tuple[FastStream, Intake]:
    """Such a consumer as a FastStream application, and its intake. Connects to nothing yet."""
    broker = broker_for(nats_url)
    consumer = ConsumerConfig(
        durable_name=kind.durable,
        filter_subject=kind.subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        deliver_policy=DeliverPolicy.ALL,
    )
    return FastStream(broker, logger=None), Intake(
        broker, stream=EVENTS, consumer=consumer, slots=1, title=kind.title
    )
