"""From seals to weights, in the order of the seals.

The log says what is to be done: every seal without weights. A message only says that there is something new, so
nothing is lost with a lost message or a lost durable, and nothing changes when one comes twice.
"""

from __future__ import annotations

import asyncio

import structlog
from faststream import FastStream
from faststream.nats import NatsMessage
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from consumers.intake import Intake, broker_for, started
from consumers.scoring.evidence import Evidence, read_evidence, read_plan
from consumers.scoring.weighing import weigh
from consumers.work import Answer, Done, RetryAfter
from events import subjects
from events.codec import decode, draft
from events.connection import connect
from events.cycles import CycleAbandoned, CycleSealed
from events.envelope import RecordedEvent
from events.event import Event
from events.jetstream import JetStreamLog
from events.log import Conflict, EventLog, LogUnavailable
from events.streams import ACK_WAIT_S, EVENTS, ensure_streams
from events.weights import WeightsComputed, WeightsWithheld

SOURCE = "/kinitro/scoring"
DURABLE = "scoring"
RETRY_S = 1.0
GRACE_S = 30.0

Ended = CycleSealed | CycleAbandoned

log = structlog.stdlib.get_logger(__name__)


class WeightsDisagree(Exception):
    """The log holds other weights for a cycle than follow from its events. Find out which program wrote them."""


class Scoring:
    """Computes the weights of every cycle that has ended."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._position = 0
        """Sequence of the last seal that is known to have weights."""

    async def __call__(self, message: NatsMessage) -> Answer:
        try:
            await self.catch_up()
        except LogUnavailable as error:
            return RetryAfter(RETRY_S, f"the log is away: {error}")
        sealed_at = message.raw_message.metadata.sequence.stream
        if self._position < sealed_at:
            return RetryAfter(RETRY_S, f"the seal at {sealed_at} cannot be read yet")
        return Done()

    async def catch_up(self) -> None:
        """Computes what is missing. Not to be called again before it has ended.

        Raises:
            EvidenceRefused: a cycle's events are not what its seal says.
            WeightsDisagree: see the class.
            CodecError: an event cannot be read.
            LogUnavailable: no answer in time.
        """
        async for batch in self._events.read(after=self._position, subject=subjects.SEALS):
            for stored in batch:
                await self._settle(decode(stored))
                self._position = stored.sequence

    async def _settle(self, seal: RecordedEvent[Event]) -> None:
        ended = seal.event
        assert isinstance(ended, Ended), f"a {ended.type} stands at {seal.subject}"
        if await self._events.last(subjects.weights(ended.cycle)) is not None:
            return
        evidence = await self._evidence(ended)
        weights = await asyncio.to_thread(weigh, evidence.plan, evidence.outcomes, ended)
        try:
            await self._events.append([draft(seal.envelope.follow(weights, source=SOURCE))])
        except Conflict:
            await self._adopt(weights)
        log.info(weights.type, cycle=weights.cycle, **_summary(weights))

    async def _evidence(self, ended: Ended) -> Evidence:
        match ended:
            case CycleSealed():
                return await read_evidence(self._events, ended)
            case CycleAbandoned():
                return Evidence(await read_plan(self._events, ended.cycle), ())

    async def _adopt(self, ours: WeightsComputed | WeightsWithheld) -> None:
        stored = await self._events.last(subjects.weights(ours.cycle))
        assert stored is not None, "a conflict means that an event stands there"
        theirs = decode(stored).event
        if theirs != ours:
            raise WeightsDisagree(
                f"cycle {ours.cycle}: at sequence {stored.sequence} stands {theirs!r}, its events give {ours!r}"
            )


async def run_scoring(nats_url: str, stop: asyncio.Event, *, replicas: int = 1) -> None:
    """Scores cycles until `stop`.

    Raises:
        EvidenceRefused, WeightsDisagree, CodecError: a cycle cannot be scored, and no later one will be.
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
    """
    async with await connect(nats_url, DURABLE) as connection:
        await ensure_streams(connection, replicas=replicas)
        scoring = Scoring(JetStreamLog(connection))
        await scoring.catch_up()
        app, intake = application(nats_url)
        async with started(app):
            await intake.run(scoring, stop, grace_s=GRACE_S)


def application(nats_url: str) -> tuple[FastStream, Intake]:
    """The scoring consumer as a FastStream application, and its intake. Connects to nothing yet."""
    broker = broker_for(nats_url)
    consumer = ConsumerConfig(
        durable_name=DURABLE,
        filter_subject=subjects.SEALS,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        deliver_policy=DeliverPolicy.ALL,
    )
    return FastStream(broker, logger=None), Intake(broker, stream=EVENTS, consumer=consumer, slots=1, title="seals")


def _summary(weights: WeightsComputed | WeightsWithheld) -> dict[str, object]:
    match weights:
        case WeightsComputed():
            return {"weights": {s.uid: s.weight for s in weights.standings}}
        case WeightsWithheld():
            return {"reason": weights.reason.value, "detail": weights.detail}
