"""Announced rules and what they would have given, altered: what anything rests on is named, and the rest is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.commands import run_audit
from consumers.audit.cycle.sources import LogSource
from consumers.audit.cycle.verdicts import Name, NewerEvents
from consumers.scoring.handler import Scoring
from consumers.scoring.rates import tally
from consumers.scoring.shadow import shadow
from consumers.signing.handler import Signing
from events.codec import decode
from events.ids import CycleId
from events.log import EventLog, Stored
from events.memory import MemoryLog
from events.mirror import of_cycle
from events.rule_changes import RulesAnnounced
from events.rules import ScoringRules
from tests.consumers.conftest import Bus
from tests.controls import facts
from tests.controls.exports import KEY, body_of, cycle_export, document, exported, key_of
from tests.controls.keys import FIRST
from tests.controls.mutations import altered, leaves, put
from tests.controls.sealed_cycles import append_sealed, outcomes_of
from tests.producers.driving import append

IN_FORCE = ScoringRules(temperature=Decimal("2.0"))
PAST, COUNTS, TO_COME, LATER = (
    facts.rules_announced(1, rules=ScoringRules()),
    facts.rules_announced(3, rules=IN_FORCE),
    facts.rules_announced(5, rules=ScoringRules(threshold_z=Decimal("0.5"))),
    facts.rules_announced(7, rules=ScoringRules(temperature=Decimal(9))),
)
PLAN = facts.planned(4, rules=IN_FORCE)
BODIES = cycle_export(PLAN, outcomes_of(PLAN), rules=(PAST, COUNTS, TO_COME, LATER))
AT_PAST, AT_COUNTS, AT_TO_COME, AT_LATER = 1, 2, 3, 4
AT_SHADOWS = [at for at, body in enumerate(BODIES) if document(body)["type"] == "kinitro.shadow.scored"]

UNVOUCHED = {"id", "time", "source", "datacontenttype"}
"""What stands around an event that nobody signs. What it says of itself as the beginning of a story is no claim."""


def failing(bodies: Sequence[bytes]) -> set[Name]:
    """What looks newer is refused, and says that it may have been altered."""
    try:
        audit = audit_export(PLAN.cycle, exported(bodies), key_of(KEY))
    except NewerEvents:
        return {Name.EVENTS}
    return {verdict.name for verdict in audit.verdicts if verdict.same is False}


def without(*places: int) -> list[bytes]:
    return [body for place, body in enumerate(BODIES) if place not in places]


def subject_at(place: int) -> str:
    return str(document(BODIES[place])["subject"])


def mutations(place: int) -> Iterator[tuple[tuple[Any, ...], list[bytes]]]:
    for path, value in leaves(document(BODIES[place])):
        for other in altered(value):
            yield path, [*BODIES[:place], put(BODIES[place], path, other), *BODIES[place + 1 :]]


def test_a_cycle_under_announced_rules_is_identical_and_so_are_its_shadows() -> None:
    audit = audit_export(PLAN.cycle, exported(BODIES), key_of(KEY))
    assert audit.verdict == "identical"
    (shadow,) = (verdict for verdict in audit.verdicts if verdict.name is Name.SHADOW)
    assert shadow.same
    assert shadow.detail == (
        "what the rules from cycle 5, cycle 7 would have given, as announced; nobody signs announcements"
    )
    assert len(AT_SHADOWS) == 2


def test_other_rules_in_the_announcement_that_counts_are_named() -> None:
    for path, bodies in mutations(AT_COUNTS):
        if path[:2] == ("data", "rules"):
            assert failing(bodies) & {Name.EVENTS, Name.PLAN}, path


@pytest.mark.parametrize("place", [AT_TO_COME, AT_LATER])
def test_other_rules_in_an_announcement_to_come_are_named_if_anything_in_the_cycle_depends_on_them(
    place: int,
) -> None:
    told = decode(Stored(place, subject_at(place), BODIES[place])).event
    tallies = tally(PLAN, outcomes_of(PLAN))
    depending = 0
    for rule, value in (("temperature", "3.0"), ("points", "equal"), ("gap_min", "0.03"), ("epsilon_max", "0.19")):
        assert isinstance(told, RulesAnnounced)
        other = told.model_copy(
            update={"rules": ScoringRules.model_validate({**told.rules.model_dump(), rule: value})}
        )
        differs = shadow(PLAN, tallies, other) != shadow(PLAN, tallies, told)
        body = put(BODIES[place], ("data", "rules", rule), value)
        found = failing([*BODIES[:place], body, *BODIES[place + 1 :]])
        assert found == ({Name.SHADOW} if differs else set()), rule
        depending += differs
    assert depending >= 2


@pytest.mark.parametrize("place", [AT_COUNTS, AT_TO_COME, AT_LATER])
def test_of_what_else_an_announcement_says_only_the_note_can_be_another(place: int) -> None:
    for path, bodies in mutations(place):
        if path[:2] != ("data", "rules") and path[0] not in {*UNVOUCHED, "correlationid"}:
            assert failing(bodies) or path == ("data", "note"), path


@pytest.mark.parametrize("place", AT_SHADOWS)
def test_whatever_is_changed_in_a_shadow_is_named(place: int) -> None:
    for path, bodies in mutations(place):
        assert failing(bodies) or path[0] in UNVOUCHED, path
        if path[0] == "data" and Name.EVENTS not in failing(bodies):
            assert failing(bodies) == {Name.SHADOW}, path


@pytest.mark.parametrize("place", [AT_COUNTS, *AT_SHADOWS])
def test_what_is_dropped_is_named(place: int) -> None:
    assert failing(without(place))


@pytest.mark.parametrize(("place", "shadow"), [(AT_TO_COME, AT_SHADOWS[0]), (AT_LATER, AT_SHADOWS[1])])
def test_an_announcement_without_its_shadow_is_named_and_a_shadow_without_its_announcement(
    place: int, shadow: int
) -> None:
    assert Name.SHADOW in failing(without(place))
    assert failing(without(shadow)) == {Name.SHADOW}


@pytest.mark.parametrize("place", [AT_PAST, AT_COUNTS, AT_TO_COME, AT_LATER, *AT_SHADOWS])
def test_what_is_doubled_is_named(place: int) -> None:
    for at in (place, len(BODIES)):
        assert Name.PLAN in failing([*BODIES[:at], BODIES[place], *BODIES[at:]])


def test_a_shadow_before_the_weights_is_named() -> None:
    place = AT_SHADOWS[0]
    swapped = [*BODIES[: place - 1], BODIES[place], BODIES[place - 1], *BODIES[place + 1 :]]
    assert failing(swapped) == {Name.SHADOW}


def test_a_plan_that_does_not_follow_what_was_announced_is_named_with_both_values() -> None:
    plan = facts.planned(4)
    bodies = cycle_export(plan, outcomes_of(plan), rules=(PAST, COUNTS))
    audit = audit_export(plan.cycle, exported(bodies), key_of(KEY))
    assert audit.first_difference
    assert audit.first_difference.name is Name.PLAN
    assert audit.verdict.endswith("rule temperature: expected 2.0, announced to count from cycle 3, found 1.0")


def test_an_announcement_after_the_plan_counts_for_nothing_in_its_cycle() -> None:
    late = document(cycle_export(PLAN, (), rules=(facts.rules_announced(4),))[1])
    assert not failing([*BODIES, body_of(late)])


def test_who_leaves_out_all_announcements_passes_because_nobody_signs_them() -> None:
    """Known, and told in docs/auditing.md: the plan has the rules that counted, and those are under the root."""
    bodies = without(AT_PAST, AT_COUNTS, AT_TO_COME, AT_LATER, *AT_SHADOWS)
    audit = audit_export(PLAN.cycle, exported(bodies, first=AT_LATER + 1), key_of(KEY))
    assert audit.verdict == "identical"
    assert Name.SHADOW not in {verdict.name for verdict in audit.verdicts}


async def scored_log(log: EventLog) -> None:
    plan = facts.planned(1, rules=IN_FORCE)
    await append(log, facts.rules_announced(1, rules=IN_FORCE), TO_COME)
    await append_sealed(log, plan, outcomes_of(plan))
    await append(log, LATER)
    await append_sealed(log, facts.planned(2, rules=IN_FORCE), outcomes_of(facts.planned(2)))
    await Scoring(log).catch_up()
    await Signing(log, FIRST).catch_up()


async def audited(log: EventLog, cycle: int) -> dict[Name, bool | None]:

    result = await run_audit(CycleId(cycle), LogSource(log), None, 0, None)
    assert result.agrees, result.verdict
    return {verdict.name: verdict.same for verdict in result.verdicts}


async def test_what_scoring_appends_is_what_the_audit_finds(bus: Bus) -> None:
    for log in (MemoryLog(), bus.log):
        await scored_log(log)
        assert (await audited(log, 1))[Name.SHADOW]
        assert (await audited(log, 2))[Name.SHADOW]


async def test_the_export_of_a_cycle_holds_what_its_audit_needs() -> None:
    log = MemoryLog()
    await scored_log(log)
    for cycle in (CycleId(1), CycleId(2)):
        bodies = [stored async for batch in log.read(subject=of_cycle(cycle)) for stored in batch]
        audit = audit_export(cycle, exported([it.body for it in bodies]))
        assert Name.SHADOW in {verdict.name for verdict in audit.verdicts if verdict.same}
        assert Name.PLAN in {verdict.name for verdict in audit.verdicts if verdict.same}
