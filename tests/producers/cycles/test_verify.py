"""The step between the last episode and the end: drawn miners are checked, come what may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import count

import pytest

from events import subjects
from events.codec import draft
from events.connection import Connection
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.draws import Candidate, comparison_seed, drawn
from events.envelope import begin, follow
from events.episodes import EpisodeOutcome
from events.ids import Uid
from events.log import Conflict, EventLog, LogUnavailable
from events.seeds import SeedMaterial, commitment_to, cycle_secret
from events.tasks import CheckTask
from events.verification import InconclusiveReason, VerificationInconclusive, VerificationOutcome, VerificationTerms
from producers.cycles.errors import ForeignSecret
from producers.progress import Checked, Checking, Progress
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_of
from tests.eventually import eventually
from tests.producers.driving import (
    CYCLE,
    MASTER_KEY,
    Crash,
    Fuse,
    FusedLog,
    FusedQueue,
    HandClock,
    JetStreamStage,
    MemoryStage,
    Stage,
    check_whole,
    drive,
    events_of,
    passed,
    queued,
    settings,
    stop,
    story,
    verifier,
)

SECRET = cycle_secret(MASTER_KEY, CYCLE)
TERMS = facts.verification_terms(rate="0.5", suspended={2: 7})
PLAN = facts.planned(uids=tuple(range(6)), episodes=1, verification=TERMS).model_copy(
    update={"secret_commitment": commitment_to(SECRET)}
)
MATERIAL = SeedMaterial(SECRET, bytes.fromhex(facts.seeded().block_hash), CYCLE)
DRAWN = {each.uid for each in drawn(MATERIAL, [Candidate(it.uid, it.hotkey) for it in PLAN.roster], TERMS.rate)}
TO_BE_CHECKED = sorted(DRAWN | {2})
QUICK = settings(requeue_after_s=0.02)


async def complete(
    stage: Stage | None = None, *, plan: CyclePlanned = PLAN, outcomes: list[EpisodeOutcome] | None = None
) -> Stage:
    """A cycle with all its outcomes, and no end."""
    stage, planned = stage or MemoryStage(), begin(plan, source="/tests", time=facts.MOMENT)
    seeded = planned.follow(facts.seeded(), source="/tests", time=facts.MOMENT)
    ended = [
        seeded.follow(event, source="/tests", time=facts.MOMENT)
        for event in (outcomes_of(plan) if outcomes is None else outcomes)
    ]
    await stage.log.append([draft(planned), draft(seeded), *map(draft, ended)])
    return stage


async def checked(log: EventLog) -> list[VerificationOutcome]:
    events = [it.event for it in await events_of(log, subjects.verifications(CYCLE))]
    return [it for it in events if isinstance(it, VerificationOutcome)]


async def uids_checked(log: EventLog) -> list[int]:
    return sorted(it.uid for it in await checked(log))


def at(seconds: float) -> HandClock:
    """So long after the last outcome."""
    clock = HandClock()
    clock.turn(seconds)
    return clock


def all_kinds(task: CheckTask) -> VerificationOutcome:
    """What comes of a check is in its uid."""
    kinds = (facts.verification_passed, facts.verification_failed, facts.verification_inconclusive)
    return kinds[task.uid % 3](task.cycle, task.uid)


async def undisturbed() -> dict[str, object]:
    stage = await complete()
    async with verifier(stage, all_kinds):
        await drive(stage, using=QUICK)
    return await story(stage.log)


def test_the_examples_draw_some_and_not_all() -> None:
    assert 0 < len(DRAWN) < len(PLAN.roster)
    assert 2 not in DRAWN


async def test_exactly_the_drawn_and_the_suspended_are_checked_under_the_root() -> None:
    stage = await complete()
    async with verifier(stage):
        end = await drive(stage, using=QUICK)
    assert await uids_checked(stage.log) == TO_BE_CHECKED
    assert isinstance(end.event, CycleSealed)
    assert end.event.tree_size == 2 + PLAN.episodes_planned + len(TO_BE_CHECKED)
    await check_whole(stage.log)


async def test_a_check_is_queued_again_when_nothing_comes() -> None:
    stage, lost = await complete(), set[int]()

    def lose_once(task: CheckTask) -> VerificationOutcome | None:
        return passed(task) if task.uid in lost else None

    run = asyncio.create_task(drive(stage, using=QUICK))
    async with verifier(stage, lose_once):
        await eventually(queued(stage, len(TO_BE_CHECKED)))
        for task in await stage.checks():
            lost.add(task.uid)
            await stage.remove(task)
        await run
    assert await uids_checked(stage.log) == TO_BE_CHECKED


async def test_the_suspended_come_last_and_the_others_in_an_order_that_nobody_knows() -> None:
    stage = await complete()
    run = asyncio.create_task(drive(stage, using=QUICK))
    await eventually(queued(stage, len(TO_BE_CHECKED)))
    await stop(run)
    seeds = {Uid(uid): comparison_seed(MATERIAL, Candidate(Uid(uid), facts.hotkey(uid))) for uid in TO_BE_CHECKED}
    by_chance = sorted(DRAWN - {2}, key=lambda uid: seeds[uid])
    assert by_chance != sorted(by_chance)
    assert [it.uid for it in await stage.checks()] == [*by_chance, 2]


async def test_a_queued_check_says_how_long_is_left() -> None:
    stage = await complete()
    run = asyncio.create_task(drive(stage, clock=at(400), using=QUICK))
    await eventually(queued(stage, len(TO_BE_CHECKED)))
    await stop(run)
    assert {it.within_s for it in await stage.checks()} == {500.0}


async def test_a_verifier_that_never_comes_is_not_waited_for_longer_than_planned() -> None:
    stage, clock, told = await complete(), at(899), list[Progress]()
    run = asyncio.create_task(drive(stage, clock=clock, using=QUICK, told=told))
    await eventually(queued(stage, len(TO_BE_CHECKED)))
    assert await checked(stage.log) == []
    clock.turn(1)
    end = await run
    assert isinstance(end.event, CycleSealed)
    outcomes = await checked(stage.log)
    assert [it.uid for it in outcomes] == TO_BE_CHECKED
    for it in outcomes:
        assert isinstance(it, VerificationInconclusive)
        assert (it.reason, it.verifier) == (InconclusiveReason.TOO_LATE, "conductor")
        assert it.detail.startswith("not checked within 900 s of the last episode's outcome")
    assert {it.uid for it in told if isinstance(it, Checked) and it.reason == "too_late"} == set(TO_BE_CHECKED)
    assert await stage.queue.pending() == 0


async def test_who_is_away_until_the_end_of_the_checks_does_not_wait_anew() -> None:
    stage = await complete()
    life = asyncio.create_task(drive(stage, clock=at(0), using=QUICK))
    await eventually(queued(stage, len(TO_BE_CHECKED)))
    await stop(life)
    await stage.queue.purge_cycle(CYCLE)
    await drive(stage, clock=at(900))
    assert await uids_checked(stage.log) == TO_BE_CHECKED


async def test_checks_that_were_made_in_time_stay_when_the_others_are_called_off() -> None:
    stage, clock = await complete(), at(0)
    first = Uid(TO_BE_CHECKED[0])
    async with verifier(stage, lambda task: passed(task) if task.uid == first else None):
        run = asyncio.create_task(drive(stage, clock=clock, using=QUICK))
        await eventually(outcome_is_there(stage, first))
        clock.turn(900)
        await run
    by_uid = {it.uid: it for it in await checked(stage.log)}
    assert by_uid.pop(first) == facts.verification_passed(uid=first)
    assert all(isinstance(it, VerificationInconclusive) for it in by_uid.values())
    assert sorted({first, *by_uid}) == TO_BE_CHECKED


def outcome_is_there(stage: Stage, uid: Uid) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return await stage.log.last(subjects.verification(CYCLE, uid)) is not None

    return condition


async def test_a_verifier_that_comes_too_late_changes_nothing() -> None:
    stage = await complete()
    await drive(stage, clock=at(900))
    before = await story(stage.log)
    late = follow(facts.verification_failed(uid=1), cause="seed", correlation="plan", source="/tests")
    with pytest.raises(Conflict):
        await stage.log.append([draft(late)])
    await drive(stage, clock=at(901))
    assert await story(stage.log) == before


async def test_without_recordings_nobody_is_waited_for() -> None:
    stage = await complete(outcomes=[facts.forfeited(it.key) for it in outcomes_of(PLAN)])
    end = await drive(stage)
    assert isinstance(end.event, CycleSealed)
    outcomes = await checked(stage.log)
    assert [it.uid for it in outcomes] == TO_BE_CHECKED
    assert {it.reason for it in outcomes if isinstance(it, VerificationInconclusive)} == {
        InconclusiveReason.NO_RECORDINGS
    }


async def test_a_cycle_that_is_abandoned_as_a_whole_checks_nobody() -> None:
    stage = await complete(outcomes=[facts.abandoned(it.key) for it in outcomes_of(PLAN)])
    end = await drive(stage)
    assert isinstance(end.event, CycleAbandoned)
    assert await checked(stage.log) == []


@pytest.mark.parametrize("terms", [None, facts.verification_terms(rate="0")], ids=["no terms", "rate 0"])
async def test_where_nobody_is_to_be_checked_no_verifier_is_needed(terms: VerificationTerms | None) -> None:
    stage, told = await complete(plan=PLAN.model_copy(update={"verification": terms})), list[Progress]()
    await drive(stage, told=told)
    assert await checked(stage.log) == []
    assert not any(isinstance(it, Checking | Checked) for it in told)


async def test_it_is_told_how_many_are_checked_until_when_and_what_comes_of_it() -> None:
    stage, told = await complete(), list[Progress]()
    async with verifier(stage, all_kinds):
        await drive(stage, using=QUICK, told=told)
    until: datetime = facts.MOMENT + timedelta(seconds=900)
    begun = [it for it in told if isinstance(it, Checking)]
    assert begun == [Checking(CYCLE, len(TO_BE_CHECKED), until)]
    verdicts = ("passed", "failed", "inconclusive")
    ended = {it.uid: it.verdict for it in told if isinstance(it, Checked)}
    assert ended == {uid: verdicts[uid % 3] for uid in TO_BE_CHECKED}
    assert told.index(begun[0]) < min(told.index(it) for it in told if isinstance(it, Checked))


async def test_a_conductor_with_another_master_key_checks_nobody() -> None:
    for clock in (at(0), at(900)):
        stage = await complete()
        with pytest.raises(ForeignSecret):
            await drive(stage, clock=clock, using=settings(master_key=bytes(32)))
        assert await checked(stage.log) == []
        assert await stage.checks() == []


@pytest.mark.parametrize("error", [Crash, asyncio.CancelledError, LogUnavailable])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_changes_nothing(error: type[Exception], after: bool) -> None:
    expected = await undisturbed()
    for calls in count():
        stage, fuse = await complete(), Fuse(calls, error, after=after)
        async with verifier(stage, all_kinds):
            await life(stage, fuse, at(0))
            await drive(stage, using=QUICK)
        assert await story(stage.log) == expected, f"after a crash at call {calls}"
        await check_whole(stage.log)
        if not fuse.blown:
            break
    assert calls >= (3 if after else 6)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_at_any_call_past_the_end_of_the_checks_changes_nothing(after: bool) -> None:
    undisturbed = await complete()
    await drive(undisturbed, clock=at(900))
    expected = await story(undisturbed.log)
    for calls in count():
        stage, fuse = await complete(), Fuse(calls, after=after)
        await life(stage, fuse, at(900))
        await drive(stage, clock=at(900))
        assert await story(stage.log) == expected, f"after a crash at call {calls}"
        if not fuse.blown:
            break
    assert calls >= (2 if after else 4)


async def life(stage: Stage, fuse: Fuse, clock: HandClock) -> None:
    """One life of a conductor, to the end or not."""
    log, queue = FusedLog(stage.log, fuse), FusedQueue(stage.queue, fuse)
    try:
        await drive(stage, log=log, queue=queue, clock=clock, using=QUICK)
    except (Crash, asyncio.CancelledError):
        return


class Racing:
    """Several conductors at once, on any log and queue."""

    async def test_conductors_at_once_give_one_cycle(self, stage: Stage) -> None:
        await complete(stage)
        async with verifier(stage, all_kinds):
            ends = await asyncio.gather(*(drive(stage, using=QUICK) for _ in range(3)))
        assert ends[0] == ends[1] == ends[2]
        assert await story(stage.log) == await undisturbed()
        await check_whole(stage.log)

    async def test_checks_that_end_at_the_last_moment_are_in_the_tree_or_called_off(self, stage: Stage) -> None:
        await complete(stage)
        clock = at(0)
        runs = [asyncio.create_task(drive(stage, clock=clock, using=QUICK)) for _ in range(2)]
        await eventually(queued(stage, len(TO_BE_CHECKED)))
        clock.turn(900)
        async with verifier(stage):
            ends = await asyncio.gather(*runs)
        assert ends[0] == ends[1]
        assert await uids_checked(stage.log) == TO_BE_CHECKED
        await check_whole(stage.log)


class TestRacingInMemory(Racing):
    @pytest.fixture
    async def stage(self) -> Stage:
        return MemoryStage()


class TestRacingOnJetStream(Racing):
    @pytest.fixture
    async def stage(self, nats: Connection) -> Stage:
        return JetStreamStage(nats)
