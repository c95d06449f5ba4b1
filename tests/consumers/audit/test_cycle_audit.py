"""What the audit of a whole cycle says of true ones."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name, NoSuchCycle, NotEnded, Verdict
from events import subjects
from events.codec import decode, draft
from events.episodes import FailureCode
from events.ids import CycleId, Hotkey
from events.log import Stored
from events.signed import KeyAnnounced
from events.statements import key_statement
from tests.controls import facts
from tests.controls.exports import KEY, OTHER_KEY, cycle_export, exported, key_of, sign
from tests.controls.sealed_cycles import outcomes_of

PLAN = facts.planned(1)
LINES = exported(cycle_export(PLAN, outcomes_of(PLAN)))


def signature_of(lines: list[bytes], pinned: Hotkey | None) -> Verdict:
    return next(it for it in audit_export(PLAN.cycle, lines, pinned).verdicts if it.name is Name.SIGNATURE)


def test_a_true_cycle_is_identical() -> None:
    audit = audit_export(PLAN.cycle, LINES)
    assert audit.verdict == "identical"
    assert [verdict.name for verdict in audit.verdicts] == [
        name for name in Name if name not in (Name.CHECKS, Name.SHADOW, Name.COPIES, Name.ANCHOR, Name.EPISODES)
    ]
    assert all(verdict.same for verdict in audit.verdicts)


def test_a_pinned_key_must_have_signed() -> None:
    assert audit_export(PLAN.cycle, LINES, key_of(KEY)).agrees
    different = audit_export(PLAN.cycle, LINES, key_of(OTHER_KEY)).first_difference
    assert different is not None
    assert different.name is Name.SIGNATURE


@pytest.mark.parametrize("pinned", [None, key_of(KEY)])
def test_a_cycle_that_is_not_signed_does_not_pass(pinned: Hotkey | None) -> None:
    audit = audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes_of(PLAN), signed=False)), pinned)
    assert [verdict.name for verdict in audit.verdicts if not verdict.same] == [Name.SIGNATURE]
    assert audit.verdict.startswith("signature: not signed: the signed root: expected the end of cycle 1")
    assert "wait until the backend has signed it, or get it from somewhere else" in audit.verdict


def test_a_cycle_whose_signatures_were_taken_away_does_not_pass() -> None:
    bodies = cycle_export(PLAN, outcomes_of(PLAN))
    for kept in (bodies[:-1], bodies[:-2], bodies[1:-2]):
        audit = audit_export(PLAN.cycle, exported(kept, first=2 if kept[0] != bodies[0] else 1))
        assert audit.verdict.startswith("signature: not signed"), len(kept)


def test_where_the_key_came_from_is_said() -> None:
    said = {pinned: signature_of(LINES, pinned).detail for pinned in (None, key_of(KEY))}
    assert "a key that the source itself names" in said[None]
    assert "GET /v1/identity" in said[None]
    assert "--key" in said[None]
    assert "source" not in said[key_of(KEY)]


def rotated(**envelope: Any) -> list[bytes]:
    """The cycle, after which the key was rotated; `envelope` is what is not as it should be."""
    bodies = cycle_export(PLAN, outcomes_of(PLAN))
    first = decode(Stored(1, subjects.identity(1), bodies[0])).envelope
    statement = key_statement(key_of(OTHER_KEY), 2, key_of(KEY))
    second = KeyAnnounced(
        ordinal=2, statement=statement, signature=sign(statement, OTHER_KEY), previous=sign(statement)
    )
    return exported([*bodies, draft(first.follow(second, source="/test")._replace(**envelope)).body])


def test_a_key_that_was_announced_by_the_one_before_is_as_good() -> None:
    for pinned in (None, key_of(KEY), key_of(OTHER_KEY)):
        assert audit_export(PLAN.cycle, rotated(), pinned).verdict == "identical"


@pytest.mark.parametrize("lineage", [{"causation": "another"}, {"correlation": "another"}])
def test_an_announcement_that_is_not_caused_by_the_one_before_is_a_difference(lineage: dict[str, str]) -> None:
    found = audit_export(PLAN.cycle, rotated(**lineage)).first_difference
    assert found is not None
    assert found.name is Name.SIGNATURE
    assert "another" in found.detail


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
    bodies = cycle_export(PLAN, outcomes_of(PLAN))
    with_attempt = cycle_export(PLAN, outcomes_of(PLAN), [facts.attempt_failed()])
    late = [*bodies[:-4], with_attempt[3], *bodies[-4:]]
    assert audit_export(PLAN.cycle, exported(late)).agrees


L, H = FailureCode.WORKER_LOST, FailureCode.HANDED_BACK


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        ([(1, L), (2, L), (3, L)], None),
        ([(1, H), (2, L), (3, H), (4, L), (5, H), (6, L)], None),
        ([(1, L), (2, L), (3, L), (4, L)], "at most 3 attempts that failed"),
        ([(1, L), (2, L), (3, L), (4, H), (5, L)], "at most 3 attempts that failed"),
        ([(1, L), (3, L)], "attempt 2 of"),
        ([(2, H)], "attempt 1 of"),
    ],
)
def test_attempts_are_told_in_order_and_fail_as_often_as_the_plan_allows(
    attempts: list[tuple[int, FailureCode]], found: str | None
) -> None:
    assert PLAN.terms.attempts_max == 3
    events = [facts.attempt_failed(attempt=number, code=code) for number, code in attempts]
    difference = audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes_of(PLAN), events))).first_difference
    assert (difference and difference.name) == (found and Name.PLAN)
    assert (found or "") in (difference.detail if difference else "")


def test_another_cycle_is_not_there() -> None:
    with pytest.raises(NoSuchCycle):
        audit_export(CycleId(1), exported([]))


def test_a_cycle_that_is_being_run_cannot_be_audited() -> None:
    with pytest.raises(NotEnded):
        audit_export(PLAN.cycle, exported(cycle_export(PLAN, outcomes_of(PLAN), signed=False)[:-2]))
