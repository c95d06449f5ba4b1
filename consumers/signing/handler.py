"""From results to signatures, in the order of the results.

That scoring comes first is meant: it has read all evidence under a seal again, so nobody signs the root of a cycle
that does not hold together.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar

import structlog

from consumers.catching_up import CatchingUp, run_catching_up
from consumers.signing.identity import SOURCE, check_not_replaced, take_up
from events import subjects
from events.codec import decode, decode_as, draft
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.envelope import RecordedEvent
from events.event import Event
from events.ids import CycleId, Hotkey
from events.keys import SigningKey
from events.log import Conflict, EventLog, Stored
from events.metagraph import ChainTerms
from events.signed import RootSigned, WeightsSigned
from events.statements import History, StatementDiffers, check_signed, root_statement, sign, weights_statement
from events.weights import WeightsComputed, WeightsWithheld

DURABLE = "signing"

S = TypeVar("S", RootSigned, WeightsSigned)

log = structlog.stdlib.get_logger(__name__)


class Signing(CatchingUp):
    """Signs how every cycle ended, and its weights."""

    durable, subject, title = DURABLE, subjects.WEIGHTS, "results"

    def __init__(self, events: EventLog, key: SigningKey) -> None:
        super().__init__(events)
        self._key = key
        self._keys: tuple[Hotkey, ...] = ()
        """All that were ever announced; ours is the last."""
        self._history = History()

    async def catch_up(self) -> None:
        """Signs what is missing, and checks what is signed. Not to be called again before it has ended.

        Raises:
            KeyRefused: our key is not the one in force.
            StatementError: something else was signed than follows from the log.
            CodecError: an event cannot be read.
            LogUnavailable: no answer in time.
        """
        self._keys = await take_up(self._events, self._key)
        await super().catch_up()

    async def _settle(self, recorded: RecordedEvent[Event]) -> None:
        result = recorded.event
        assert isinstance(result, WeightsComputed | WeightsWithheld), f"a {result.type} stands at {recorded.subject}"
        seal = await self._there(subjects.seal(result.cycle), result.cycle)
        plan = await self._there(subjects.plan(result.cycle), result.cycle)
        chain = decode_as(CyclePlanned, plan).event.chain
        await self._settle_root(result.cycle, seal, chain)
        if isinstance(result, WeightsComputed):
            await self._settle_statement(WeightsSigned, weights_statement(result, chain), recorded, result.cycle)

    async def _there(self, subject: str, cycle: CycleId) -> Stored:
        stored = await self._events.last(subject)
        if stored is None:
            raise StatementDiffers(f"cycle {cycle} has a result, but the log has no {subject}: restore it")
        return stored

    async def _settle_root(self, cycle: CycleId, stored: Stored, chain: ChainTerms | None) -> None:
        seal = decode(stored)
        assert isinstance(seal.event, CycleSealed | CycleAbandoned), f"a {seal.event.type} stands at {seal.subject}"
        if self._history.size < cycle:  # a call before this one may have been cut off after it
            self._history.add(cycle, stored.body)
        await self._settle_statement(RootSigned, root_statement(seal.event, self._history, chain), seal, cycle)

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
    await run_catching_up(Signing, nats_url, lambda events: Signing(events, key), stop, replicas=replicas)
