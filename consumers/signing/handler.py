"""From results to signatures, in the order of the results.

The log says what is to be done: every cycle with a result but without signatures. That scoring comes first is meant:
it has read all evidence under a seal again, so nobody signs the root of a cycle that does not hold together.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import structlog
from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from consumers.intake import Intake, broker_for, started
from consumers.signing.identity import SOURCE, check_not_replaced, take_up
from consumers.work import Answer, Done, RetryAfter
from events import subjects
from events.codec import decode, decode_as, draft
from events.connection import connect
from events.cycles import CycleAbandoned, CycleSealed
from events.envelope import RecordedEvent
from events.event import Event
from events.ids import CycleId, Hotkey
from events.jetstream import JetStreamLog
from events.keys import SigningKey
from events.log import Conflict, EventLog, LogUnavailable
from events.signed import RootSigned, WeightsSigned
from events.statements import History, StatementDiffers, check_signed, root_statement, sign, weights_statement
from events.streams import ACK_WAIT_S, EVENTS, ensure_streams
from events.weights import WeightsComputed, WeightsWithheld

DURABLE = "signing"
RETRY_S = 1.0
GRACE_S = 30.0

S = TypeVar("S", RootSigned, WeightsSigned)

log = structlog.stdlib.get_logger(__name__)


class Signing:
    """Signs how every cycle ended, and its weights."""

    def __init__(self, events: EventLog, key: SigningKey) -> None:
        self._events = events
        self._key = key
        self._keys: tuple[Hotkey, ...] = ()
        """All that were ever announced; ours is the last."""
        self._history = History()
        self._position = 0
        """Sequence of the last result that is known to be signed."""

    async def __call__(self, message: NatsMessage) -> Answer:
        try:
            await self.catch_up()
        except LogUnavailable as error:
            return RetryAfter(RETRY_S, f"the log is away: {error}")
        result_at = message.raw_message.metadata.sequence.stream
        if self._position < result_at:
            return RetryAfter(RETRY_S, f"the result at {result_at} cannot be read yet")
        return Done()

    async def catch_up(self) -> None:
        """Signs what is missing, and checks what is signed. Not to be called again before it has ended.

        Raises:
            KeyRefused: our key is not the one in force.
            StatementError: something else was signed than follows from the log.
            CodecError: an event cannot be read.
            LogUnavailable: no answer in time.
        """
        self._keys = await take_up(self._events, self._key)
        async for batch in self._events.read(after=self._position, subject=subjects.WEIGHTS):
            for stored in batch:
                await self._settle(decode(stored))
                self._position = stored.sequence

    async def _settle(self, recorded: RecordedEvent[Event]) -> None:
        result = recorded.event
        assert isinstance(result, WeightsComputed | WeightsWithheld), f"a {result.type} stands at {recorded.subject}"
        await self._settle_root(result.cycle)
        if isinstance(result, WeightsComputed):
            await self._settle_statement(WeightsSigned, weights_statement(result), recorded, result.cycle)

    async def _settle_root(self, cycle: CycleId) -> None:
        stored = await self._events.last(subjects.seal(cycle))
        if stored is None:
            raise StatementDiffers(
                f"cycle {cycle} has a result, but the log has no {subjects.seal(cycle)}: restore it"
            )
        seal = decode(stored)
        assert isinstance(seal.event, CycleSealed | CycleAbandoned), f"a {seal.event.type} stands at {seal.subject}"
        if self._history.size < cycle:  # a call before this one may have been cut off after it
            self._history.add(cycle, stored.body)
        await self._settle_statement(RootSigned, root_statement(seal.event, self._history), seal, cycle)

    async def _settle_statement(
        self, kind: type[S], statement: str, cause: RecordedEvent[Event], cycle: CycleId
    ) -> None:
        subject = subjects.signed_root(cycle) if kind is RootSigned else subjects.signed_weights(cycle)
        if await self._check_there(kind, statement, subject):
            return
        await check_not_replaced(self._events, self._keys)
        signed = kind(cycle=cycle, statement=statement, signature=sign(statement, self._key))
        try:
            await self._events.append([draft(cause.envelope.follow(signed, source=SOURCE))])
        except Conflict:
            there = await self._check_there(kind, statement, subject)
            assert there, "a conflict means that an event stands there"
        log.info(kind.type, cycle=cycle, key=self._key.address)

    async def _check_there(self, kind: type[S], statement: str, subject: str) -> bool:
        """Whether it is signed; if so, it must be what we would sign."""
        stored = await self._events.last(subject)
        if stored is None:
            return False
        check_signed(decode_as(kind, stored).event, statement, self._keys)
        return True


async def run_signing(nats_url: str, key: SigningKey, stop: asyncio.Event, *, replicas: int = 1) -> None:
    """Signs results until `stop`.

    Raises:
        KeyRefused: the key is not the one in force, or no longer.
        StatementError, CodecError: a cycle cannot be signed, and no later one will be.
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
    """
    async with await connect(nats_url, DURABLE) as connection:
        await ensure_streams(connection, replicas=replicas)
        signing = Signing(JetStreamLog(connection), key)
        await signing.catch_up()
        app, intake = application(nats_url)
        async with started(app):
            await intake.run(signing, stop, grace_s=GRACE_S)


def application(nats_url: str) -> tuple[FastStream, Intake]:
    """The signing consumer as a FastStream application, and its intake. Connects to nothing yet."""
    broker = broker_for(nats_url)
    consumer = ConsumerConfig(
        durable_name=DURABLE,
        filter_subject=subjects.WEIGHTS,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        deliver_policy=DeliverPolicy.ALL,
    )
    return FastStream(broker, logger=None), Intake(broker, stream=EVENTS, consumer=consumer, slots=1, title="results")
