"""Copies are told with the weights: what this cycle shows, and what the checks of earlier ones have shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from consumers.audit.cycle.audit import conclude
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.sources import LogSource
from consumers.scoring.handler import Scoring, WeightsDisagree
from events import subjects
from events.codec import decode, decode_as, draft
from events.copies import CopiesFound, CopyKind
from events.envelope import begin
from events.ids import CycleId
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.verification import Committed, VerificationOutcome
from tests.controls import facts
from tests.controls.checked_cycle import CHECKS, OUTCOMES, PLAN
from tests.controls.exports import cycle_export, document
from tests.controls.sealed_cycles import append_sealed, outcomes_of


async def append_cycle(
    log: EventLog, cycle: int, files: dict[int, Committed], *, uids: tuple[int, ...] = (0, 1)
) -> None:
    """A sealed cycle in which all miners were checked, and these had these files."""
    plan = facts.planned(cycle, uids=uids, verification=facts.verification_terms(rate="1"))
    checks: list[VerificationOutcome] = [
        facts.verification_passed(cycle, uid).model_copy(update={"committed": files[uid]})
        if uid in files
        else facts.verification_inconclusive(cycle, uid)
        for uid in uids
    ]
    await append_sealed(log, plan, outcomes_of(plan), extra=checks)


async def copies_of(log: EventLog, cycle: int) -> CopiesFound | None:
    stored = await log.last(subjects.copies(CycleId(cycle)))
    return None if stored is None else decode_as(CopiesFound, stored).event


async def told(log: EventLog, cycle: int) -> list[tuple[int, str, int]]:
    found = await copies_of(log, cycle)
    return [(it.uid, it.of_hotkey, it.seen_in) for it in found.copies] if found else []


async def test_copies_stand_right_after_the_weights_and_follow_from_the_seal() -> None:
    log = MemoryLog()
    await append_sealed(log, PLAN, OUTCOMES, extra=CHECKS)
    await Scoring(log).catch_up()
    seal, weights, copies = [
        await log.last(subject)
        for subject in (subjects.seal(PLAN.cycle), subjects.weights(PLAN.cycle), subjects.copies(PLAN.cycle))
    ]
    assert seal
    assert weights
    assert copies
    assert copies.sequence == weights.sequence + 1
    assert decode(copies).envelope.causation == decode(seal).id
    found = decode_as(CopiesFound, copies).event
    assert [(it.uid, it.of_hotkey, it.kind) for it in found.copies] == [
        (5, "hotkey-3", CopyKind.FILES),
        (7, "hotkey-6", CopyKind.ACTIONS),
    ]


async def test_what_is_read_of_a_cycle_has_them_and_the_audit_agrees() -> None:
    log = MemoryLog()
    for event in cycle_events():
        await log.append([event])
    fold, source = CycleFold(PLAN.cycle), LogSource(log)
    async for batch in source.batches(PLAN.cycle):
        fold.add(batch)
    assert CopiesFound in fold.one
    assert {it.name for it in conclude(fold, source.trailer, None) if it.same is False} == set()


def cycle_events() -> list[Draft]:
    bodies = cycle_export(PLAN, OUTCOMES, checks=CHECKS)
    return [Draft(document(body)["subject"], document(body)["id"], body) for body in bodies]


async def test_where_nobody_copies_there_is_no_event() -> None:
    log = MemoryLog()
    await append_cycle(log, 1, {0: facts.committed_files(0), 1: facts.committed_files(1)})
    await Scoring(log).catch_up()
    assert await copies_of(log, 1) is None


async def test_a_file_of_an_earlier_cycle_is_known_after_a_restart_too() -> None:
    log = MemoryLog()
    await append_cycle(log, 1, {0: facts.committed_files(0)})
    scoring = Scoring(log)
    await scoring.catch_up()
    await append_cycle(log, 2, {1: facts.committed_files(0)}, uids=(1,))
    await scoring.catch_up()
    await append_cycle(log, 3, {1: facts.committed_files(0)}, uids=(1,))
    await Scoring(log).catch_up()
    assert [await told(log, cycle) for cycle in (1, 2, 3)] == [[], [(1, "hotkey-0", 1)], [(1, "hotkey-0", 1)]]


async def test_who_committed_earlier_is_no_copy_of_who_was_checked_earlier() -> None:
    log = MemoryLog()
    await append_cycle(log, 1, {1: facts.committed_files(0)})
    await append_cycle(log, 2, {0: facts.committed_files(0)})
    await Scoring(log).catch_up()
    assert [await told(log, cycle) for cycle in (1, 2)] == [[], []]


async def test_what_a_later_cycle_shows_does_not_change_an_earlier_one() -> None:
    log = MemoryLog()
    await append_cycle(log, 1, {1: facts.committed_files(0)}, uids=(1,))
    await append_cycle(log, 2, {0: facts.committed_files(0), 1: facts.committed_files(0)})
    await Scoring(log).catch_up()
    assert [await told(log, cycle) for cycle in (1, 2)] == [[], [(1, "hotkey-0", 2)]]


async def test_two_at_once_agree_on_the_copies_too() -> None:
    log = MemoryLog()
    await append_sealed(log, PLAN, OUTCOMES, extra=CHECKS)
    written = await log.last_sequence()
    await asyncio.gather(Scoring(log).catch_up(), Scoring(log).catch_up())
    assert await log.last_sequence() == written + 2


class CopiesRaced(MemoryLog):
    """The same weights are always there first, with other copies."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.weights(PLAN.cycle):
            await super().append([drafts[0]._replace(id="theirs")])
            await super().append([draft(begin(facts.copies_found(PLAN.cycle), source="/test"))])
        return await super().append(drafts)


async def test_other_copies_in_our_place_are_a_loud_error() -> None:
    log = CopiesRaced()
    await append_sealed(log, PLAN, OUTCOMES, extra=CHECKS)
    with pytest.raises(WeightsDisagree, match=r"evt\.copies\.4"):
        await Scoring(log).catch_up()
