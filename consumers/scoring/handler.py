"""From seals to weights, in the order of the seals."""

from __future__ import annotations

import asyncio

import structlog

from consumers.catching_up import CatchingUp, run_catching_up
from consumers.scoring.copies import copies_found, digests_of
from consumers.scoring.evidence import Evidence, read_abandoned, read_evidence
from consumers.scoring.known_files import KnownFiles
from consumers.scoring.shadow import shadows
from consumers.scoring.weighing import weigh
from events import subjects
from events.announced_rules import read_announced
from events.codec import decode, draft
from events.copies import CopiesFound
from events.cycles import CycleAbandoned, CycleSealed
from events.envelope import RecordedEvent
from events.event import Event
from events.log import Conflict, EventLog
from events.rule_changes import ShadowScored
from events.weights import WeightsComputed, WeightsWithheld

SOURCE = "/kinitro/scoring"
DURABLE = "scoring"

Ended = CycleSealed | CycleAbandoned
Result = WeightsComputed | WeightsWithheld | CopiesFound | ShadowScored

log = structlog.stdlib.get_logger(__name__)


class WeightsDisagree(Exception):
    """The log holds other weights for a cycle than follow from its events. Find out which program wrote them."""


class Scoring(CatchingUp):
    """Computes the weights of every cycle that has ended, what announced rules would have given, and finds copies.

    Raises, beside what `catch_up` does:
        EvidenceRefused: a cycle's events are not what its seal says.
        WeightsDisagree: see the class.
    """

    durable, subject, title = DURABLE, subjects.SEALS, "seals"

    def __init__(self, events: EventLog) -> None:
        super().__init__(events)
        self._files = KnownFiles(events)

    async def _settle(self, recorded: RecordedEvent[Event]) -> None:
        ended = recorded.event
        assert isinstance(ended, Ended), f"a {ended.type} stands at {recorded.subject}"
        if await self._events.last(subjects.weights(ended.cycle)) is not None:
            return
        evidence = await self._evidence(ended)
        weights = await asyncio.to_thread(weigh, evidence.plan, evidence.tallies, ended, evidence.unpaid)
        copies = await self._copies(evidence, recorded) if isinstance(ended, CycleSealed) else []
        await self._append(recorded, weights, *copies, *await self._shadows(evidence))
        log.info(weights.type, cycle=weights.cycle, **_summary(weights))

    async def _evidence(self, ended: Ended) -> Evidence:
        match ended:
            case CycleSealed():
                return await read_evidence(self._events, ended)
            case CycleAbandoned():
                return await read_abandoned(self._events, ended.cycle)

    async def _shadows(self, evidence: Evidence) -> list[ShadowScored]:
        plan = evidence.plan
        stored = await self._events.last(subjects.plan(plan.cycle))
        assert stored is not None, "it was read just now"
        announced = [it.event for it in await read_announced(self._events) if it.sequence < stored.sequence]
        return await asyncio.to_thread(lambda: shadows(plan, evidence.tallies, announced, evidence.unpaid))

    async def _copies(self, evidence: Evidence, sealed: RecordedEvent[Event]) -> list[CopiesFound]:
        """Of what a root covers: of an abandoned cycle none are told."""
        plan, checks = evidence.plan, evidence.checks
        digests = [digest for check in checks for digest in digests_of(check)]
        known = await self._files.before(plan.cycle, sealed.sequence, digests)
        found = await asyncio.to_thread(lambda: copies_found(plan, evidence.actions, checks, known))
        return [found] if found else []

    async def _append(self, cause: RecordedEvent[Event], *results: Result) -> None:
        """All at once, so that who sees weights sees what belongs to them; or finds there what they have to be."""
        try:
            await self._events.append([draft(cause.envelope.follow(event, source=SOURCE)) for event in results])
        except Conflict:
            for event in results:
                await self._adopt(event)

    async def _adopt(self, ours: Result) -> None:
        stored = await self._events.last(subjects.subject_of(ours))
        theirs = decode(stored).event if stored else None
        if theirs != ours:
            raise WeightsDisagree(
                f"cycle {ours.cycle}: at {subjects.subject_of(ours)} stands {theirs!r}, its events give {ours!r}"
            )


async def run_scoring(nats_url: str, stop: asyncio.Event, *, replicas: int = 1) -> None:
    """Scores cycles until `stop`.

    Raises:
        EvidenceRefused, WeightsDisagree, CodecError: a cycle cannot be scored, and no later one will be.
        LogUnavailable: no server answers at the start.
        StreamMismatch: the streams are not as they should be.
    """
    await run_catching_up(Scoring, nats_url, Scoring, stop, replicas=replicas)


def _summary(weights: WeightsComputed | WeightsWithheld) -> dict[str, object]:
    match weights:
        case WeightsComputed():
            return {"weights": {s.uid: s.weight for s in weights.standings}}
        case WeightsWithheld():
            return {"reason": weights.reason.value, "detail": weights.detail}
