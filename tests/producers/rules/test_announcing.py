"""Who may announce what, and what the log says of it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from events import subjects
from events.announced_rules import Standing, rules_now
from events.ids import CycleId
from events.log import Draft
from events.memory import MemoryLog
from events.rules import PointScheme, ScoringRules
from events.rules_file import RulesFile, RulesRefused
from producers.rules.announcing import PENDING_MAX, AnnouncementRefused, announce
from tests.controls import facts
from tests.producers.driving import append

WARMER = RulesFile(Path("rules.toml"), {"temperature": Decimal(2)})
EQUAL = RulesFile(Path("rules.toml"), {"points": "equal"})


@pytest.fixture
async def log() -> MemoryLog:
    """With the plans of cycles 1 and 2."""
    log = MemoryLog()
    rules = ScoringRules(threshold_z=Decimal(1))
    await append(log, *(facts.planned(cycle, rules=rules) for cycle in (1, 2)))
    return log


async def standings(log: MemoryLog) -> dict[int, tuple[Standing, int]]:
    return {it.recorded.event.cycle: (it.standing, it.counts_from) for it in (await rules_now(log)).announced}


async def test_what_the_file_does_not_give_stays_as_in_the_newest_plan(log: MemoryLog) -> None:
    done = await announce(log, CycleId(3), WARMER, "warmer")
    assert done.event.rules == ScoringRules(threshold_z=Decimal(1), temperature=Decimal(2))
    assert (done.counts_from, done.event.note) == (3, "warmer")


async def test_what_was_announced_before_is_built_upon(log: MemoryLog) -> None:
    await announce(log, CycleId(3), WARMER, None)
    later = await announce(log, CycleId(9), EQUAL, None)
    between = await announce(log, CycleId(5), EQUAL, None)
    expected = ScoringRules(threshold_z=Decimal(1), temperature=Decimal(2), points=PointScheme.EQUAL)
    assert later.event.rules == between.event.rules == expected


async def test_without_any_plan_the_defaults_are_built_upon() -> None:
    done = await announce(MemoryLog(), CycleId(1), WARMER, None)
    assert done.event.rules == ScoringRules(temperature=Decimal(2))


@pytest.mark.parametrize("cycle", [1, 2])
async def test_a_cycle_that_is_planned_keeps_its_rules_and_the_next_possible_is_named(
    log: MemoryLog, cycle: int
) -> None:
    await append(log, facts.rules_announced(3))
    with pytest.raises(AnnouncementRefused, match=r"cycle 2 is planned already.* --from-cycle 4"):
        await announce(log, CycleId(cycle), WARMER, None)


async def test_an_announcement_is_for_ever(log: MemoryLog) -> None:
    await announce(log, CycleId(3), WARMER, None)
    with pytest.raises(AnnouncementRefused, match="for example --from-cycle 4"):
        await announce(log, CycleId(3), EQUAL, None)


async def test_there_is_a_bound_to_what_every_cycle_is_scored_under(log: MemoryLog) -> None:
    for cycle in range(3, 3 + PENDING_MAX):
        await announce(log, CycleId(cycle), WARMER, None)
    with pytest.raises(AnnouncementRefused, match=f"{PENDING_MAX} announcements are to come"):
        await announce(log, CycleId(99), WARMER, None)


async def test_rules_that_do_not_fit_together_are_not_announced(log: MemoryLog) -> None:
    with pytest.raises(RulesRefused, match=r"gap_min 0\.5 is above gap_max 0\.10"):
        await announce(log, CycleId(3), RulesFile(Path("r"), {"gap_min": Decimal("0.5")}), None)
    assert (await rules_now(log)).announced == ()


class Raced(MemoryLog):
    """The cycle is planned just before its rules are announced."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        if drafts[0].subject == subjects.rules(CycleId(1)):
            await append(super(), facts.planned(1))  # type: ignore[arg-type]
        return await super().append(drafts)


async def test_who_comes_too_late_by_a_moment_is_told_when_the_rules_count() -> None:
    assert (await announce(Raced(), CycleId(1), WARMER, None)).counts_from == 2


class Taken(MemoryLog):
    """Somebody else announces other rules first."""

    async def append(self, drafts: Sequence[Draft]) -> list[int]:
        await append(super(), facts.rules_announced(1))  # type: ignore[arg-type]
        return await super().append(drafts)


async def test_of_two_who_announce_at_once_the_second_is_told() -> None:
    with pytest.raises(AnnouncementRefused, match="somebody else has just announced rules for cycle 1"):
        await announce(Taken(), CycleId(1), WARMER, None)


async def test_each_announcement_is_to_come_in_force_or_past(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(3), facts.rules_announced(5))
    assert await standings(log) == {3: (Standing.TO_COME, 3), 5: (Standing.TO_COME, 5)}
    await append(log, facts.planned(3), facts.planned(4))
    assert await standings(log) == {3: (Standing.IN_FORCE, 3), 5: (Standing.TO_COME, 5)}
    await append(log, facts.planned(5))
    assert await standings(log) == {3: (Standing.PAST, 3), 5: (Standing.IN_FORCE, 5)}


async def test_one_that_came_after_the_plan_of_its_cycle_is_to_come(log: MemoryLog) -> None:
    await append(log, facts.rules_announced(2))
    assert await standings(log) == {2: (Standing.TO_COME, 3)}
