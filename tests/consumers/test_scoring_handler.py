"""From seals to weights, on a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from consumers.scoring.evidence import EvidenceRefused
from consumers.scoring.handler import DURABLE, Scoring, WeightsDisagree, run_scoring
from events import subjects
from events.codec import decode, decode_as, draft
from events.cycles import CycleSealed
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.rule_changes import ShadowScored
from events.rules import ScoringRules
from events.stream_settings import EVENTS
from events.weights import WeightsComputed, WeightsWithheld, WithheldReason
from tests.consumers.conftest import Bus
from tests.controls import facts
from tests.controls.sealed_cycles import append_sealed, append_unsealed, outcomes_of, seal_of
from tests.eventually import eventually


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


async def append(log: EventLog, event: Event) -> None:
    await log.append([draft(begin(event, source="/test"))])


async def sealed(log: EventLog, cycle: int = 1, *, winners: Sequence[int] = (0,)) -> CycleSealed:
    plan = facts.planned(cycle)
    return await append_sealed(log, plan, outcomes_of(plan, winners=winners))


async def weights_of(log: EventLog, cycle: int = 1) -> Event | None:
    stored = await log.last(subjects.weights(CycleId(cycle)))
    return None if stored is None else decode(stored).event


@asynccontextmanager
async def scoring(bus: Bus) -> AsyncIterator[None]:
    stop = asyncio.Event()
    running = asyncio.create_task(run_scoring(bus.url, stop))
    try:
        yield
    finally:
        stop.set()
        await running


def has_weights(bus: Bus, cycle: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await weights_of(bus.log, cycle) is not None

    return look


async def test_a_sealed_cycle_gets_the_weights_of_its_winner(bus: Bus) -> None:
    async with scoring(bus):
        seal = await sealed(bus.log)
        await eventually(has_weights(bus, 1))
    weights = await weights_of(bus.log)
    assert isinstance(weights, WeightsComputed)
    assert weights.merkle_root == seal.merkle_root
    winner, loser = weights.standings
    assert (winner.uid, loser.uid) == (0, 1)
    assert float(winner.weight) > float(loser.weight)
    assert sum(weights.weights_u16.values) == 65_535


async def test_what_was_sealed_while_nobody_listened_is_scored_at_the_start(bus: Bus) -> None:
    await sealed(bus.log, 1)
    await sealed(bus.log, 2)
    async with scoring(bus):
        await eventually(has_weights(bus, 2))
    assert isinstance(await weights_of(bus.log, 1), WeightsComputed)


async def test_a_seal_is_scored_although_the_durable_was_lost(bus: Bus) -> None:
    async with scoring(bus):
        await sealed(bus.log, 1)
        await eventually(has_weights(bus, 1))
        await bus.lose_consumer(EVENTS, DURABLE)
        await sealed(bus.log, 2)
        await eventually(has_weights(bus, 2))


async def test_a_seal_is_scored_after_kill_9_of_the_server(bus: Bus) -> None:
    async with scoring(bus):
        await sealed(bus.log, 1)
        await eventually(has_weights(bus, 1))
        bus.server.kill()
        bus.server.start()
        await sealed(bus.log, 2)
        await eventually(has_weights(bus, 2))


async def test_a_tampered_seal_stops_the_consumer_loudly(bus: Bus) -> None:
    plan = await append_unsealed(bus.log, facts.planned(), outcomes_of(facts.planned()))
    seal = await seal_of(bus.log, plan)
    running = asyncio.create_task(run_scoring(bus.url, asyncio.Event()))
    await append(bus.log, seal.model_copy(update={"merkle_root": "0" * 64}))
    with pytest.raises(EvidenceRefused, match="Merkle root"):
        await asyncio.wait_for(running, 60)
    assert await weights_of(bus.log) is None


async def test_scoring_twice_gives_one_event(log: MemoryLog) -> None:
    await sealed(log)
    await Scoring(log).catch_up()
    written = await log.last_sequence()
    await Scoring(log).catch_up()
    assert await log.last_sequence() == written


async def test_two_at_once_agree_on_one_event(log: MemoryLog) -> None:
    await sealed(log)
    written = await log.last_sequence()
    await asyncio.gather(Scoring(log).catch_up(), Scoring(log).catch_up())
    assert await log.last_sequence() == written + 1


class Raced(MemoryLog):
    """Somebody else's weights are always there first."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.weights(CycleId(1)):
            await super().append([draft(begin(facts.weights_computed(), source="/test"))])
        return await super().append(drafts)


async def test_other_weights_in_our_place_are_a_loud_error() -> None:
    log = Raced()
    await sealed(log)
    with pytest.raises(WeightsDisagree, match="cycle 1"):
        await Scoring(log).catch_up()


async def test_cycles_are_scored_in_the_order_of_their_seals(log: MemoryLog) -> None:
    second = await append_unsealed(log, facts.planned(2), outcomes_of(facts.planned(2)))
    await sealed(log, 1)
    await append(log, await seal_of(log, second))
    await Scoring(log).catch_up()
    scored = [stored.subject async for batch in log.read(subject=subjects.WEIGHTS) for stored in batch]
    assert scored == [subjects.weights(CycleId(1)), subjects.weights(CycleId(2))]


async def test_weights_follow_from_the_seal(log: MemoryLog) -> None:
    await sealed(log)
    await Scoring(log).catch_up()
    seal, weights = await log.last(subjects.seal(CycleId(1))), await log.last(subjects.weights(CycleId(1)))
    assert seal is not None
    assert weights is not None
    assert decode(weights).envelope.causation == decode(seal).id
    assert decode(weights).envelope.correlation == decode(seal).envelope.correlation


async def test_nobody_with_points_means_no_weights(log: MemoryLog) -> None:
    await sealed(log, winners=())
    await Scoring(log).catch_up()
    withheld = await weights_of(log)
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.NO_POINTS
    assert len(withheld.standings) == 2


async def test_a_cycle_without_miners_has_no_weights(log: MemoryLog) -> None:
    await append_sealed(log, facts.planned(uids=()), [])
    await Scoring(log).catch_up()
    withheld = await weights_of(log)
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.NO_MINERS


async def test_an_abandoned_cycle_has_no_weights(log: MemoryLog) -> None:
    plan = await append_unsealed(log, facts.planned(), [])
    await append(log, facts.cycle_abandoned(plan.cycle))
    await Scoring(log).catch_up()
    withheld = await weights_of(log)
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.CYCLE_ABANDONED
    assert withheld.standings == ()


# Announced rules: every cycle is scored under them too, until they count.


WARMER = ScoringRules(temperature=Decimal(10))


async def shadow_of(log: EventLog, cycle: int, rules_from: int) -> ShadowScored | None:
    stored = await log.last(subjects.shadow(CycleId(cycle), CycleId(rules_from)))
    return None if stored is None else decode_as(ShadowScored, stored).event


async def test_a_cycle_is_scored_under_announced_rules_too_and_paid_by_its_own(bus: Bus) -> None:
    await append(bus.log, facts.rules_announced(3, rules=WARMER))
    async with scoring(bus):
        await sealed(bus.log)
        await eventually(has_weights(bus, 1))
    weights, shadow = await weights_of(bus.log), await shadow_of(bus.log, 1, 3)
    assert isinstance(weights, WeightsComputed)
    assert shadow
    assert shadow.weights_u16
    assert sum(shadow.weights_u16.values) == 65_535
    assert weights.weights_u16.values[0] > shadow.weights_u16.values[0] > shadow.weights_u16.values[1]
    assert [it.points for it in shadow.standings] == [it.points for it in weights.standings]


async def test_the_shadow_stands_right_after_the_weights_and_follows_from_the_seal(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(3, rules=WARMER))
    await sealed(log)
    await Scoring(log).catch_up()
    seal, weights, shadow = [
        await log.last(subject)
        for subject in (
            subjects.seal(CycleId(1)),
            subjects.weights(CycleId(1)),
            subjects.shadow(CycleId(1), CycleId(3)),
        )
    ]
    assert seal
    assert weights
    assert shadow
    assert shadow.sequence == weights.sequence + 1
    assert decode(shadow).envelope.causation == decode(seal).id


async def test_each_announcement_to_come_has_its_shadow_and_those_that_count_have_none(log: MemoryLog) -> None:
    for cycle in (1, 2, 3, 4):
        await append(log, facts.rules_announced(cycle, rules=WARMER))
    await sealed(log, 2)
    await Scoring(log).catch_up()
    found = [stored.subject async for batch in log.read(subject="evt.shadow.>") for stored in batch]
    assert found == [subjects.shadow(CycleId(2), CycleId(cycle)) for cycle in (3, 4)]


async def test_rules_that_were_announced_after_the_plan_have_no_shadow_in_its_cycle(log: MemoryLog) -> None:
    plan = await append_unsealed(log, facts.planned(), outcomes_of(facts.planned()))
    await append(log, facts.rules_announced(3, rules=WARMER))
    await append(log, await seal_of(log, plan))
    await sealed(log, 2)
    await Scoring(log).catch_up()
    assert await shadow_of(log, 1, 3) is None
    assert await shadow_of(log, 2, 3)


async def test_where_announced_rules_give_no_weights_the_shadow_says_why(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(3, rules=WARMER))
    await sealed(log, winners=())
    await Scoring(log).catch_up()
    shadow = await shadow_of(log, 1, 3)
    assert shadow
    assert shadow.withheld
    assert (shadow.withheld.reason, shadow.weights_u16) == (WithheldReason.NO_POINTS, None)


async def test_a_cycle_that_was_abandoned_is_scored_under_rules_that_ask_for_less(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(3, rules=ScoringRules(coverage_min=Decimal(0))))
    plan = await append_unsealed(log, facts.planned(), outcomes_of(facts.planned()))
    await append(log, facts.cycle_abandoned(plan.cycle))
    await Scoring(log).catch_up()
    assert isinstance(await weights_of(log), WeightsWithheld)
    shadow = await shadow_of(log, 1, 3)
    assert shadow
    assert shadow.weights_u16


async def test_two_at_once_agree_on_the_shadow_too(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(3, rules=WARMER))
    await sealed(log)
    written = await log.last_sequence()
    await asyncio.gather(Scoring(log).catch_up(), Scoring(log).catch_up())
    assert await log.last_sequence() == written + 2


class ShadowRaced(MemoryLog):
    """The same weights are always there first, with another shadow."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.weights(CycleId(1)):
            await super().append([drafts[0]._replace(id="theirs")])
            await super().append([draft(begin(facts.shadow_scored(1, 3), source="/test"))])
        return await super().append(drafts)


async def test_another_shadow_in_our_place_is_a_loud_error() -> None:
    log = ShadowRaced()
    await append(log, facts.rules_announced(3, rules=WARMER))
    await sealed(log)
    with pytest.raises(WeightsDisagree, match=r"evt\.shadow\.1\.3"):
        await Scoring(log).catch_up()
