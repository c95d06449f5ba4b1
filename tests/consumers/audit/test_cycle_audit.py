"""What the audit of a whole cycle says of true ones."""

from __future__ import annotations

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name, NoSuchCycle, NotEnded
from events.ids import CycleId
from tests.controls import facts
from tests.controls.exports import KEY, OTHER_KEY, cycle_export, exported, key_of
from tests.controls.sealed_cycles import outcomes_of

PLAN = facts.planned(1)
LINES = exported(cycle_export(PLAN, outcomes_of(PLAN)))


def test_a_true_cycle_is_identical() -> None:
    audit = audit_export(PLAN.cycle, LINES)
    assert audit.verdict == "identical"
    assert [verdict.name for verdict in audit.verdicts] == [
        name for name in Name if name not in (Name.SHADOW, Name.EPISODES)
    ]
    assert all(verdict.same for verdict in audit.verdicts)


def test_a_pinned_key_must_have_signed() -> None:
    assert audit_export(PLAN.cycle, LINES, key_of(KEY)).agrees
    different = audit_export(PLAN.cycle, LINES, key_of(OTHER_KEY)).first_difference
    assert different is not None
    assert different.name is Name.SIGNATURE


def test_a_cycle_from_before_there_was_a_key_is_told_to_be_unsigned() -> None:
    lines = exported(cycle_export(PLAN, outcomes_of(PLAN), signed=False))
    audit = audit_export(PLAN.cycle, lines)
    assert audit.agrees
    assert [verdict.name for verdict in audit.verdicts if verdict.same is None] == [Name.SIGNATURE]
    assert not audit_export(PLAN.cycle, lines, key_of(KEY)).agrees


def test_an_abandoned_cycle_has_no_weights_to_check() -> None:
    outcomes = [facts.abandoned(outcome.key) for outcome in outcomes_of(PLAN)]
    audit = audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes)), key_of(KEY))
    assert audit.verdict == "identical"
    unjudged = [verdict.name for verdict in audit.verdicts if verdict.same is None]
    assert unjudged == [Name.FRONTIER, Name.POINTS, Name.WEIGHTS, Name.U16]


def test_a_cycle_without_points_agrees() -> None:
    audit = audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes_of(PLAN, winners=()))), key_of(KEY))
    assert audit.verdict == "identical"


def test_an_attempt_may_be_lost_after_the_last_outcome_that_the_seal_has_seen() -> None:
    bodies = cycle_export(PLAN, outcomes_of(PLAN), signed=False)
    with_attempt = cycle_export(PLAN, outcomes_of(PLAN), [facts.attempt_failed()], signed=False)
    late = [*bodies[:-2], with_attempt[2], *bodies[-2:]]
    assert audit_export(PLAN.cycle, exported(late)).agrees


def test_another_cycle_is_not_there() -> None:
    with pytest.raises(NoSuchCycle):
        audit_export(CycleId(1), exported([]))


def test_a_cycle_that_is_being_run_cannot_be_audited() -> None:
    with pytest.raises(NotEnded):
        audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes_of(PLAN), signed=False)[:-2]))
