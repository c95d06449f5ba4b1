"""From results to signatures: by the public key alone, anybody can tell what the backend vouches for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from consumers.scoring.handler import Scoring, run_scoring
from consumers.signing.handler import DURABLE, Signing, run_signing
from consumers.signing.identity import KeyRefused, announcements, rotate, take_up
from events import subjects
from events.codec import decode, decode_as, draft
from events.envelope import begin
from events.event import Event
from events.ids import CycleId
from events.keys import SigningKey
from events.log import Draft, EventLog, Stored
from events.memory import MemoryLog
from events.merkle import MerkleTree
from events.signed import RootSigned, WeightsSigned
from events.statements import (
    BrokenIdentity,
    StatementDiffers,
    check,
    check_identity,
    check_signed,
    sign,
    weights_statement,
)
from events.stream_settings import EVENTS
from events.weights import WeightsComputed
from tests.consumers.conftest import Bus
from tests.controls import facts
from tests.controls.keys import FIRST, SECOND, STRANGER
from tests.controls.sealed_cycles import append_sealed, append_unsealed, outcomes_of
from tests.eventually import eventually


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


async def append(log: EventLog, event: Event) -> None:
    await log.append([draft(begin(event, source="/test"))])


async def scored(log: EventLog, cycle: int = 1, *, winners: Sequence[int] = (0,)) -> None:
    plan = facts.planned(cycle)
    await append_sealed(log, plan, outcomes_of(plan, winners=winners))
    await Scoring(log).catch_up()


async def there(log: EventLog, subject: str) -> Stored:
    stored = await log.last(subject)
    assert stored is not None, f"nothing stands at {subject}"
    return stored


async def root_of(log: EventLog, cycle: int = 1) -> RootSigned:
    return decode_as(RootSigned, await there(log, subjects.signed_root(CycleId(cycle)))).event


async def weights_of(log: EventLog, cycle: int = 1) -> WeightsSigned:
    return decode_as(WeightsSigned, await there(log, subjects.signed_weights(CycleId(cycle)))).event


async def subjects_of(log: EventLog, pattern: str) -> list[str]:
    return [stored.subject async for batch in log.read(subject=pattern) for stored in batch]


def has(log: EventLog, subject: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await log.last(subject) is not None

    return look


@asynccontextmanager
async def running(bus: Bus, key: SigningKey = FIRST) -> AsyncIterator[None]:
    """Scoring and signing, as in the scheduler."""
    stop = asyncio.Event()
    both = [asyncio.create_task(run_scoring(bus.url, stop)), asyncio.create_task(run_signing(bus.url, key, stop))]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*both)


async def test_a_sealed_cycle_is_scored_signed_and_verified_by_the_public_key_alone(bus: Bus) -> None:
    async with running(bus):
        plan = facts.planned()
        seal = await append_sealed(bus.log, plan, outcomes_of(plan))
        await eventually(has(bus.log, subjects.signed_weights(CycleId(1))))
    keys = check_identity([each.event for each in await announcements(bus.log)])
    assert keys == (FIRST.address,)
    root, weights = await root_of(bus.log), await weights_of(bus.log)
    for signed in (root, weights):
        assert signed.signature.key in keys
        check(signed.statement, signed.signature)
    assert json.loads(root.statement)["merkle_root"] == seal.merkle_root
    computed = decode_as(WeightsComputed, await there(bus.log, subjects.weights(CycleId(1)))).event
    check_signed(weights, weights_statement(computed, None), keys)


async def test_a_result_is_signed_although_the_durable_was_lost(bus: Bus) -> None:
    async with running(bus):
        await scored(bus.log, 1)
        await eventually(has(bus.log, subjects.signed_weights(CycleId(1))))
        await bus.lose_consumer(EVENTS, DURABLE)
        await scored(bus.log, 2)
        await eventually(has(bus.log, subjects.signed_weights(CycleId(2))))


async def test_a_rotation_stops_who_still_has_the_old_key(bus: Bus) -> None:
    await take_up(bus.log, FIRST)
    signing = asyncio.create_task(run_signing(bus.url, FIRST, asyncio.Event()))
    await scored(bus.log, 1)
    await eventually(has(bus.log, subjects.signed_weights(CycleId(1))))
    await rotate(bus.log, FIRST, SECOND)
    await scored(bus.log, 2)
    with pytest.raises(KeyRefused, match=f"the log announces {SECOND.address}"):
        await asyncio.wait_for(signing, 60)


async def test_what_was_scored_while_nobody_listened_is_signed_in_order(log: MemoryLog) -> None:
    for cycle in (1, 2, 3):
        await scored(log, cycle)
    await Signing(log, FIRST).catch_up()
    assert await subjects_of(log, subjects.SIGNED) == [
        f"evt.signed.{what}.{cycle}" for cycle in (1, 2, 3) for what in ("root", "weights")
    ]


async def test_each_root_names_the_whole_history_before_it(log: MemoryLog) -> None:
    tree = MerkleTree()
    for cycle in (1, 2, 3):
        await scored(log, cycle)
        await Signing(log, FIRST).catch_up()
        tree.add((await there(log, subjects.seal(CycleId(cycle)))).body)
        statement = json.loads((await root_of(log, cycle)).statement)
        assert (statement["history_size"], statement["history_root"]) == (cycle, tree.root().hex())


async def test_one_that_stays_signs_as_one_that_starts_anew(log: MemoryLog) -> None:
    signing = Signing(log, FIRST)
    for cycle in (1, 2):
        await scored(log, cycle)
        await signing.catch_up()
    written = await log.last_sequence()
    await Signing(log, FIRST).catch_up()
    assert await log.last_sequence() == written


async def test_an_abandoned_cycle_has_a_signed_end_and_no_signed_weights(log: MemoryLog) -> None:
    await append_unsealed(log, facts.planned(), [])
    await append(log, facts.cycle_abandoned())
    await Scoring(log).catch_up()
    await Signing(log, FIRST).catch_up()
    assert json.loads((await root_of(log)).statement)["end"] == "abandoned"
    assert await log.last(subjects.signed_weights(CycleId(1))) is None


async def test_withheld_weights_are_not_signed(log: MemoryLog) -> None:
    await scored(log, winners=())
    await Signing(log, FIRST).catch_up()
    assert await subjects_of(log, subjects.SIGNED) == [subjects.signed_root(CycleId(1))]


async def test_signatures_follow_from_seal_and_weights(log: MemoryLog) -> None:
    await scored(log)
    await Signing(log, FIRST).catch_up()
    for cause, effect in ((subjects.seal, subjects.signed_root), (subjects.weights, subjects.signed_weights)):
        led, came = [decode(await there(log, of(CycleId(1)))) for of in (cause, effect)]
        assert came.envelope.causation == led.id
        assert came.envelope.correlation == led.envelope.correlation


async def test_two_at_once_agree_on_one_event_each(log: MemoryLog) -> None:
    await scored(log)
    written = await log.last_sequence()
    await asyncio.gather(Signing(log, FIRST).catch_up(), Signing(log, FIRST).catch_up())
    assert await log.last_sequence() == written + 3  # the key, the root, the weights


class Raced(MemoryLog):
    """Somebody else, with our key, is always there first."""

    def __init__(self, statement: str) -> None:
        super().__init__()
        self.statement = statement

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.signed_weights(CycleId(1)):
            signed = WeightsSigned(cycle=CycleId(1), statement=self.statement, signature=sign(self.statement, FIRST))
            await super().append([draft(begin(signed, source="/test"))])
        return await super().append(drafts)


async def test_another_statement_in_our_place_is_a_loud_error() -> None:
    log = Raced(weights_statement(facts.weights_computed(), None))
    await scored(log)
    with pytest.raises(StatementDiffers, match="cycle 1"):
        await Signing(log, FIRST).catch_up()


async def test_a_signature_by_a_stranger_is_a_loud_error(log: MemoryLog) -> None:
    await scored(log)
    computed = decode_as(WeightsComputed, await there(log, subjects.weights(CycleId(1)))).event
    statement = weights_statement(computed, None)
    await append(log, WeightsSigned(cycle=CycleId(1), statement=statement, signature=sign(statement, STRANGER)))
    with pytest.raises(BrokenIdentity, match=f"signed by {STRANGER.address}"):
        await Signing(log, FIRST).catch_up()


async def test_a_result_without_an_end_is_a_loud_error(log: MemoryLog) -> None:
    await append(log, facts.weights_computed())
    with pytest.raises(StatementDiffers, match=r"the log has no evt\.cycle\.1\.seal"):
        await Signing(log, FIRST).catch_up()


async def test_another_key_than_the_announced_one_is_refused_with_a_remedy(log: MemoryLog) -> None:
    await Signing(log, FIRST).catch_up()
    with pytest.raises(KeyRefused, match=f"announces {FIRST.address}.*kinitro identity rotate"):
        await Signing(log, SECOND).catch_up()


async def test_after_a_rotation_the_new_key_signs_and_the_old_signatures_stay_good(log: MemoryLog) -> None:
    await scored(log, 1)
    await Signing(log, FIRST).catch_up()
    await rotate(log, FIRST, SECOND)
    await scored(log, 2)
    await Signing(log, SECOND).catch_up()
    keys = check_identity([each.event for each in await announcements(log)])
    assert keys == (FIRST.address, SECOND.address)
    assert [(await root_of(log, cycle)).signature.key for cycle in (1, 2)] == list(keys)


async def test_a_rotation_in_the_middle_of_catching_up_is_noticed_before_the_next_signature(log: MemoryLog) -> None:
    class Rotated(MemoryLog):
        async def append(self, drafts: Sequence[Draft]) -> list[int]:
            sequences = await super().append(drafts)
            if drafts[0].subject == subjects.signed_root(CycleId(1)):
                await rotate(self, FIRST, SECOND)
            return sequences

    log = Rotated()
    await scored(log)
    with pytest.raises(KeyRefused, match="was replaced in the meantime"):
        await Signing(log, FIRST).catch_up()
    assert await log.last(subjects.signed_weights(CycleId(1))) is None


@pytest.mark.parametrize(
    ("old", "new", "tells"),
    [
        (STRANGER, SECOND, f"announces {FIRST.address}"),
        (FIRST, FIRST, "was announced before"),
    ],
)
async def test_a_rotation_that_nobody_would_believe_is_refused(
    log: MemoryLog, old: SigningKey, new: SigningKey, tells: str
) -> None:
    await take_up(log, FIRST)
    with pytest.raises(KeyRefused, match=tells):
        await rotate(log, old, new)
    assert await log.last_sequence() == 1


async def test_there_is_nothing_to_rotate_before_the_first_key(log: MemoryLog) -> None:
    with pytest.raises(KeyRefused, match="announces no key yet"):
        await rotate(log, FIRST, SECOND)
