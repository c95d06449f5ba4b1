"""From seals to weights, on a real log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from consumers.scoring.evidence import EvidenceRefused
from consumers.scoring.handler import DURABLE, Scoring, WeightsDisagree, run_scoring
from events import subjects
from events.codec import decode, draft
from events.cycles import CycleSealed
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.streams import EVENTS
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
        await bus.connection.api(f"CONSUMER.DELETE.{EVENTS}.{DURABLE}")
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
