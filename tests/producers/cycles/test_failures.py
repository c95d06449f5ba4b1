"""Who is suspended in the next plan, by what came of earlier checks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from events.cycles import CyclePlanned, RosterEntry
from events.event import Event
from events.ids import CycleId, Uid
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.tasks import CheckTask
from events.verification import Suspension, VerificationOutcome
from producers.cycles.failures import Failures
from tests.controls import facts
from tests.producers.driving import (
    Check,
    Fuse,
    FusedLog,
    HandClock,
    MemoryStage,
    Stage,
    append,
    checking,
    drive,
    events_of,
    passed,
    settings,
    verifier,
    with_miners,
    worker,
)

ROSTER = facts.planned(uids=(0, 1, 2)).roster


def failed(task: CheckTask) -> VerificationOutcome:
    return facts.verification_failed(task.cycle, task.uid)


def inconclusive(task: CheckTask) -> VerificationOutcome:
    return facts.verification_inconclusive(task.cycle, task.uid)


async def suspended_after(*events: Event, roster: tuple[RosterEntry, ...] = ROSTER) -> dict[int, int]:
    """Uid -> the cycle in which it failed."""
    log, failures = MemoryLog(), Failures()
    await append(log, *events)
    await failures.catch_up(log)
    return {it.uid: it.failed_in for it in failures.suspended(roster)}


async def test_a_failure_suspends() -> None:
    assert await suspended_after(facts.verification_failed(3, 1)) == {1: 3}


async def test_a_pass_lifts_the_suspension() -> None:
    assert await suspended_after(facts.verification_failed(3, 1), facts.verification_passed(4, 1)) == {}


async def test_the_latest_failure_is_named() -> None:
    assert await suspended_after(facts.verification_failed(3, 1), facts.verification_failed(5, 1)) == {1: 5}


@pytest.mark.parametrize(
    ("first", "expected"), [(facts.verification_failed(3, 1), {1: 3}), (facts.verification_passed(3, 1), {})]
)
async def test_what_is_inconclusive_changes_nothing(first: Event, expected: dict[int, int]) -> None:
    assert await suspended_after(first, facts.verification_inconclusive(4, 1)) == expected


async def test_the_suspended_are_named_by_uid() -> None:
    found = await suspended_after(*(facts.verification_failed(3, uid) for uid in (2, 0)))
    assert list(found) == [0, 2]


async def test_who_departed_comes_back_suspended_under_any_uid() -> None:
    moved = ROSTER[1].model_copy(update={"uid": Uid(9)})
    heir = ROSTER[1].model_copy(update={"hotkey": facts.hotkey(9)})
    assert await suspended_after(facts.verification_failed(3, 1), roster=(moved, heir)) == {9: 3}


async def test_who_is_not_planned_is_not_named() -> None:
    assert await suspended_after(facts.verification_failed(3, 1), roster=ROSTER[:1]) == {}


async def test_only_what_is_new_is_read_again() -> None:
    log, failures = MemoryLog(), Failures()
    await append(log, facts.verification_failed(3, 1))
    await failures.catch_up(log)
    await failures.catch_up(log)
    await append(log, facts.verification_passed(4, 1), facts.verification_failed(4, 2))
    await failures.catch_up(log)
    assert failures.suspended(ROSTER) == (Suspension(uid=Uid(2), failed_in=CycleId(4)),)


# Over whole cycles.


class FailureAtTheLastMoment(FusedLog):
    """A log into which somebody writes that a miner has failed, just before the first plan is appended."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log, Fuse(10**9))
        self._inner = log
        self._written = False

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if not self._written:
            self._written = True
            await append(self._inner, facts.verification_failed(9, 1))
        return await super().append(drafts)


async def run_cycle(stage: Stage, number: int, check: Check, rate: str = "1") -> None:
    clock = HandClock()
    using = settings(episodes=1, requeue_after_s=0.02, verification=checking(rate))
    async with worker(stage, clock=clock), verifier(stage, check):
        await drive(stage, clock=clock, cycle=CycleId(number), using=using)


async def planned_suspended(log: EventLog, number: int) -> dict[int, int]:
    (plan,) = [it.event for it in await events_of(log, f"evt.cycle.{number}.plan")]
    assert isinstance(plan, CyclePlanned)
    assert plan.verification is not None
    return {it.uid: it.failed_in for it in plan.verification.suspended}


async def checked_in(log: EventLog, number: int) -> list[str]:
    """The uids, in whatever order they were checked."""
    events = await events_of(log, f"evt.cycle.{number}.verification.*")
    return sorted(it.subject.rpartition(".")[2] for it in events)


async def test_a_failed_miner_is_checked_in_every_cycle_until_it_passes() -> None:
    stage = await with_miners(MemoryStage())
    await run_cycle(stage, 1, lambda task: failed(task) if task.uid == 1 else passed(task))
    assert await checked_in(stage.log, 1) == ["0", "1", "2"]
    for number, check in ((2, inconclusive), (3, passed), (4, passed)):
        await run_cycle(stage, number, check, rate="0")
    assert [await planned_suspended(stage.log, number) for number in (1, 2, 3, 4)] == [{}, {1: 1}, {1: 1}, {}]
    assert [await checked_in(stage.log, number) for number in (2, 3, 4)] == [["1"], ["1"], []]


async def test_a_failure_that_comes_just_before_the_plan_counts_in_it() -> None:
    stage, clock = await with_miners(MemoryStage()), HandClock()
    using = settings(episodes=1, requeue_after_s=0.02, verification=checking("0"))
    async with worker(stage, clock=clock), verifier(stage):
        await drive(stage, log=FailureAtTheLastMoment(stage.log), clock=clock, using=using)
    assert await planned_suspended(stage.log, 1) == {1: 9}


async def test_a_plan_without_checks_does_not_forget_who_failed() -> None:
    stage = await with_miners(MemoryStage())
    await run_cycle(stage, 1, failed)
    async with worker(stage):
        await drive(stage, cycle=CycleId(2), using=settings(episodes=1))
    await run_cycle(stage, 3, passed, rate="0")
    assert await planned_suspended(stage.log, 3) == {0: 1, 1: 1, 2: 1}


async def test_a_hotkey_that_departs_and_comes_back_is_still_suspended() -> None:
    stage = await with_miners(MemoryStage())
    await run_cycle(stage, 1, lambda task: failed(task) if task.uid == 1 else passed(task))
    await append(stage.log, facts.departed(1))
    await run_cycle(stage, 2, passed, rate="0")
    back = facts.discovered(1, ordinal=3).model_copy(update={"uid": Uid(7)})
    await append(stage.log, back)
    await run_cycle(stage, 3, passed, rate="0")
    assert [await planned_suspended(stage.log, number) for number in (2, 3)] == [{}, {7: 1}]
    assert await checked_in(stage.log, 3) == ["7"]
