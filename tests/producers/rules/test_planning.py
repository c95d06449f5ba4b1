"""Announced rules, and the plans in which they count."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from events import subjects
from events.codec import decode_as
from events.cycles import CyclePlanned
from events.ids import CycleId
from events.log import Draft, EventLog
from events.memory import MemoryLog
from events.rules import ScoringRules
from producers.progress import Planned, Progress, RulesOverruled
from tests.controls import facts
from tests.producers.driving import CYCLE, MemoryStage, append, drive, settings, with_miners, worker


def rules(temperature: int) -> ScoringRules:
    return ScoringRules(temperature=Decimal(temperature))


async def planned(log: EventLog, cycle: CycleId = CYCLE) -> CyclePlanned:
    stored = await log.last(subjects.plan(cycle))
    assert stored is not None
    return decode_as(CyclePlanned, stored).event


async def conducted(log: EventLog, cycles: int = 1) -> list[Progress]:
    """Drives so many cycles to their ends, and returns what was told."""
    told: list[Progress] = []
    stage = MemoryStage()
    stage.log = log
    await with_miners(stage)
    async with worker(stage):
        for cycle in range(1, cycles + 1):
            await drive(stage, cycle=CycleId(cycle), told=told)
    return told


async def test_without_an_announcement_the_schedulers_own_rules_count() -> None:
    log = MemoryLog()
    told = await conducted(log)
    assert (await planned(log)).rules == settings().rules
    assert not any(isinstance(it, RulesOverruled) for it in told)


async def test_announced_rules_win_over_the_schedulers_and_that_is_told() -> None:
    log = MemoryLog()
    await append(log, facts.rules_announced(1, rules=rules(3)))
    told = await conducted(log)
    assert (await planned(log)).rules == rules(3)
    assert [it for it in told if isinstance(it, RulesOverruled)] == [
        RulesOverruled(CYCLE, ("temperature 3 instead of 1.0",))
    ]


async def test_announced_rules_that_are_the_schedulers_are_not_worth_a_word() -> None:
    log = MemoryLog()
    await append(log, facts.rules_announced(1, rules=settings().rules))
    assert not any(isinstance(it, RulesOverruled) for it in await conducted(log))


async def test_rules_count_from_the_cycle_that_the_announcement_names() -> None:
    log = MemoryLog()
    await append(log, facts.rules_announced(2, rules=rules(3)), facts.rules_announced(4, rules=rules(5)))
    await conducted(log, 4)
    found = [(await planned(log, CycleId(cycle))).rules for cycle in (1, 2, 3, 4)]
    assert found == [settings().rules, rules(3), rules(3), rules(5)]


class Raced(MemoryLog):
    """Just before the plan somebody announces rules for its cycle."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.plan(CYCLE) and await self.last(subjects.rules(CYCLE)) is None:
            await append(super(), facts.rules_announced(1, rules=rules(3)))  # type: ignore[arg-type]
        return await super().append(drafts)


async def test_an_announcement_that_is_in_the_log_before_the_plan_counts_although_the_planner_had_not_read_it() -> (
    None
):
    log = Raced()
    told = await conducted(log)
    announced, plan = await log.last(subjects.rules(CYCLE)), await log.last(subjects.plan(CYCLE))
    assert announced
    assert plan
    assert announced.sequence < plan.sequence
    assert (await planned(log)).rules == rules(3)
    assert sum(isinstance(it, Planned) for it in told) == 1


async def test_one_that_comes_after_the_plan_counts_from_the_next_cycle() -> None:
    log = MemoryLog()
    await conducted(log)
    await append(log, facts.rules_announced(1, rules=rules(3)))
    stage = MemoryStage()
    stage.log = log
    async with worker(stage):
        await drive(stage, cycle=CycleId(2))
    assert (await planned(log)).rules == settings().rules
    assert (await planned(log, CycleId(2))).rules == rules(3)


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
async def test_the_announcement_for_the_latest_cycle_wins_and_not_the_latest_announcement(
    order: tuple[int, int],
) -> None:
    log = MemoryLog()
    await append(log, *(facts.rules_announced(cycle, rules=rules(cycle)) for cycle in order))
    await conducted(log, 3)
    assert (await planned(log, CycleId(3))).rules == rules(3)
