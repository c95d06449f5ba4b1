"""Conductors die at any of their steps, are two, and come back when all is over.

The clock by which they plan stands still where the undisturbed cycle was planned: so the cycle that they plan is the
same one, seeds and all. The steps are met at the frames that the process sends: nothing in it knows of the test.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

from events import subjects
from events.cycles import CycleAbandoned
from events.envelope import utc_now
from events.episodes import EpisodeAbandoned
from events.weights import WeightsWithheld
from tests.faults.conftest import Tell
from tests.faults.gate import Point
from tests.faults.shifted import HandClock
from tests.faults.stage import EPISODES, ROLES, stage
from tests.faults.verdict import audited
from tests.system.cycles import CYCLE, MOMENT, Result, Subnet, all_events

LATER = MOMENT + timedelta(seconds=2)
"""Past the block of the seed."""

PURGE = re.escape("$JS.API.STREAM.PURGE.KINITRO_TASKS")
OUTCOME = r" evt\.cycle\.1\.episode\."


def around(subject: str) -> list[Point]:
    """Just before its event is sent, and after it is stored but before anybody is told."""
    frame = f" {re.escape(subject)} "
    return [Point(frame), Point(frame, sent=True)]


PLANNING = around(subjects.plan(CYCLE))
BEGINNING = [*around(subjects.seed(CYCLE)), Point(r" task\.episode\.1\.", skip=EPISODES // 2)]
ENDING = [
    *around(subjects.seal(CYCLE)),
    Point(PURGE),
    Point(PURGE, sent=True),
    *around(subjects.weights(CYCLE)),
    *around(subjects.signed_root(CYCLE)),
    *around(subjects.signed_weights(CYCLE)),
]
ABANDONING = [
    Point(OUTCOME, skip=EPISODES // 2),
    Point(OUTCOME, skip=EPISODES - 1, sent=True),
    *around(subjects.seal(CYCLE)),
]


async def test_kill_9_at_every_step(subnet: Subnet, undisturbed: Result, tell: Tell, tmp_path: Path) -> None:
    clock = HandClock(tmp_path / "clock")
    clock.show(MOMENT)
    async with stage(subnet, begun=False, gated=("scheduler",), own={"scheduler": clock.variables}) as it:
        await it.killed_at_each("scheduler", PLANNING)
        clock.show(LATER)
        await it.killed_at_each("scheduler", BEGINNING)
        await it.under_way()
        await it.role("scheduler").killed()
        await it.killed_at_each("scheduler", ENDING)
        await it.unharmed(undisturbed)
        await it.role("scheduler").running()
        kills = it.role("scheduler").starts - 1
        assert kills == len(PLANNING) + len(BEGINNING) + 1 + len(ENDING)
        tell(f"{kills} kills; one plan, one seal, the same weights")


async def test_kill_9_while_it_abandons(subnet: Subnet, tell: Tell, tmp_path: Path) -> None:
    clock = HandClock(tmp_path / "clock")
    clock.show(utc_now() + timedelta(seconds=subnet.cycles.cycle_deadline + 60))
    alone = ("scheduler",)
    async with stage(subnet, roles=alone, gated=alone, own={"scheduler": clock.variables}) as it:
        await it.killed_at_each("scheduler", ABANDONING)
        await it.stored(subjects.signed_root(CYCLE))
        kinds = Counter(type(recorded.event) for recorded in await all_events(it.log))
        assert kinds[EpisodeAbandoned] == EPISODES
        assert kinds[CycleAbandoned] == kinds[WeightsWithheld] == 1
        await it.witness.confirmed()
        assert (await audited(it.log)).agrees
        tell(f"{len(ABANDONING)} kills; {EPISODES} episodes abandoned, each once, and one end without weights")


async def test_two_at_once_and_one_that_wakes_when_all_is_over(
    subnet: Subnet, undisturbed: Result, tell: Tell, tmp_path: Path
) -> None:
    clock, two = HandClock(tmp_path / "clock"), ("scheduler", "scheduler-2")
    clock.show(MOMENT)
    own = dict.fromkeys(two, clock.variables)
    async with stage(subnet, begun=False, roles=(*ROLES, "scheduler-2"), gated=two, own=own) as it:
        first, second = (it.gates[name] for name in two)
        await asyncio.gather(*(gate.catch(PLANNING[:1]) for gate in (first, second)))
        await asyncio.gather(first.caught(), second.caught())
        for gate in (first, second):  # both: who reads of the other's seal sends none
            gate.release(around(subjects.seal(CYCLE))[:1])
        clock.show(LATER)
        await asyncio.gather(first.caught(), second.caught())
        async with it.role("scheduler").stalled():
            second.release()
            assert await it.finished() == undisturbed
        end = await it.log.last_sequence()
        first.release()
        await it.role("scheduler").says('"Ended"')
        await it.unharmed(undisturbed)
        assert await it.log.last_sequence() == end
        tell("two plans were sent at once and one stands; the seal of the one that slept came last and was refused")
