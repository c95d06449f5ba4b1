"""From a backend's answer to weights that follow from the evidence, or to the check that failed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import cast

from consumers.audit.again import simulators
from consumers.audit.case import CannotAudit, SourceAway
from consumers.audit.cycle.again import check_episodes
from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.sources import ApiSource
from consumers.audit.cycle.verdicts import Name
from consumers.audit.sources import ApiSource as EpisodeSource
from consumers.validator.backend import Backend, BackendAway, NotFound
from consumers.validator.checks import Alarm, Check, Refusal, Step, judged
from consumers.validator.documents import (
    Answer,
    Events,
    SignedWeights,
    Subnet,
    check_answer,
    check_statement,
    parse_signed,
    trusted_keys,
)
from events.cycles import CyclePlanned
from events.envelope import RecordedEvent
from events.export import Trailer
from events.ids import CycleId, Hotkey
from events.keys import is_signed
from events.signed import WeightsSigned
from events.weights import WeightsComputed
from sim.errors import SimError

READ_S = 3_600.0
"""For all events of a cycle: 100,000 take a minute over a slow line."""
SIGNED_AGAIN_S = (0.25, 0.5, 1.0, 2.0)
"""The pauses before it is asked again for a signature that is not there yet."""
AGE_MAX = timedelta(hours=24)
"""After a cycle's own deadline. Later its weights say nothing of the policies that are deployed now."""

Tell = Callable[[Check], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """A cycle whose weights follow from its events, and are signed."""

    cycle: CycleId
    weights: WeightsComputed
    statement: str
    key: Hotkey
    planned: datetime
    """When, as the plan's event says: it is under the signed root, as all events before the end are."""
    deadline_s: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a validator was told."""

    pinned: Hotkey
    subnet: Subnet
    episodes: int = 0
    """How many to run again."""


async def verify(backend: Backend, answer: Answer, terms: Terms, tell: Tell) -> Verified | None:
    """The weights, once all checks have passed; None where one did not. `tell` hears of each as it is known.

    Raises:
        BackendAway: the backend does not give what is to be checked.
    """
    checks = _Told(tell)
    signed = await _statement(backend, answer.cycle, terms, checks)
    if signed is None:
        return None
    source = ApiSource(backend.session, backend.url)
    fold = await _audited(source, backend, answer.cycle, terms, checks)
    if fold is None or checks.failed:
        return None
    verified = _concluded(fold, cast("Trailer", source.trailer), answer, signed, checks)
    if terms.episodes and not checks.failed:
        checks(await _again(fold, backend, terms.episodes))
    return None if checks.failed else verified


async def disagreement(cycle: CycleId, statement: str, key: Hotkey, others: list[Backend]) -> str:
    """Whether another backend has another statement of the cycle by the same key; how many were asked.

    Raises:
        Alarm: one has.
    """
    agree = 0
    for other in others:
        with suppress(BackendAway):
            signed = parse_signed(await other.signed_weights(cycle))
            if signed.key == key and signed.statement != statement and _is_signed(signed):
                raise Alarm(
                    f"THE KEY {key} HAS SIGNED TWO DIFFERENT WEIGHTS OF CYCLE {cycle}: {other.url} has"
                    f" {signed.statement[:500]!r}, expected {statement[:500]!r}; submit neither, tell the operator,"
                    " and keep both"
                )
            agree += signed.statement == statement
    return f"{agree} of {len(others)} others have the same statement, none another"


def check_age(verified: Verified, now: datetime) -> str:
    """How old the cycle is.

    Raises:
        Refusal: it is long over.
    """
    limit = verified.planned + timedelta(seconds=verified.deadline_s) + AGE_MAX
    if now > limit:
        raise Refusal(
            f"cycle {verified.cycle} was planned at {verified.planned:%Y-%m-%d %H:%M:%S} UTC, and its weights count"
            f" until {limit:%Y-%m-%d %H:%M:%S}: {AGE_MAX} after its deadline; is there none newer, or is the clock"
            " of this machine wrong?"
        )
    return f"planned {now - verified.planned} ago"


async def _statement(backend: Backend, cycle: CycleId, terms: Terms, checks: _Told) -> SignedWeights | None:
    started = perf_counter()
    try:
        identity, body = await backend.identity(), await _signed_soon(backend, cycle)
    except NotFound as absent:
        checks(Check(Step.STATEMENT.value, False, f"not signed: {absent}", perf_counter() - started))
        return None
    found: list[SignedWeights] = []

    def judge() -> str:
        found.append(parse_signed(body))
        return check_statement(found[0], cycle, trusted_keys(identity, terms.pinned), terms.subnet)

    checks(judged(Step.STATEMENT, judge))
    return None if checks.failed else found[0]


async def _signed_soon(backend: Backend, cycle: CycleId) -> bytes:
    """What is signed: whoever hears of weights as soon as there are some may be sooner than their signature."""
    for pause_s in SIGNED_AGAIN_S:
        try:
            return await backend.signed_weights(cycle)
        except NotFound:
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))
    return await backend.signed_weights(cycle)


async def _audited(
    source: ApiSource, backend: Backend, cycle: CycleId, terms: Terms, checks: _Told
) -> CycleFold | None:
    fold = CycleFold(cycle, keep_claims=terms.episodes > 0)
    try:
        async with asyncio.timeout(READ_S):
            async for batch in source.batches(cycle):
                await asyncio.to_thread(fold.add, batch)
        for verdict in await asyncio.to_thread(lambda: list(conclude(fold, source.trailer, terms.pinned))):
            checks(Check.of(verdict))
    except SourceAway as away:
        raise BackendAway(str(away)) from away
    except TimeoutError as error:
        raise BackendAway(f"{backend.url} did not give all events of cycle {cycle} within {READ_S:g} s") from error
    except CannotAudit as impossible:
        checks(Check(Name.EVENTS.value, False, str(impossible), fold.seconds[Name.EVENTS]))
        return None
    return fold


def _concluded(
    fold: CycleFold, trailer: Trailer, answer: Answer, signed: SignedWeights, checks: _Told
) -> Verified | None:
    if fold.weights is None or not isinstance(fold.weights.recorded.event, WeightsComputed):
        checks(Check(Step.ANSWER.value, False, f"cycle {answer.cycle} gives no weights, and some are served", 0.0))
        return None
    weights = cast("RecordedEvent[WeightsComputed]", fold.weights.recorded)
    placed = fold.one[WeightsSigned]
    after = fold.all.size - placed.line.number
    events = Events(
        weights,
        cast("RecordedEvent[WeightsSigned]", placed.recorded),
        trailer.first_sequence + placed.line.number - 1 if after else trailer.last_sequence,
        trailer.last_sequence - after,
    )
    checks(judged(Step.ANSWER, partial(check_answer, answer, signed, events)))
    plan = cast("RecordedEvent[CyclePlanned]", fold.one[CyclePlanned].recorded)
    return Verified(answer.cycle, weights.event, signed.statement, signed.key, plan.time, plan.event.deadline_s)


async def _again(fold: CycleFold, backend: Backend, episodes: int) -> Check:
    started = perf_counter()
    source = EpisodeSource(backend.session, backend.url)
    try:
        with simulators() as processes:
            return Check.of(await check_episodes(fold, episodes, source, processes, lambda _done, _of: None))
    except SourceAway as away:
        raise BackendAway(str(away)) from away
    except (CannotAudit, SimError) as impossible:
        return Check(Name.EPISODES.value, False, str(impossible), perf_counter() - started)


def _is_signed(signed: SignedWeights) -> bool:
    return is_signed(signed.statement.encode(), signed.by)


class _Told:
    """Passes checks on, and knows whether one failed."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.failed = False

    def __call__(self, check: Check) -> None:
        self.failed = self.failed or check.passed is False
        self._tell(check)
