"""A cycle with spot checks and copies, altered in every way that we could think of: the audit names each.

As `test_cycle_mutations`: the careful forger mends the trailer, the thorough one tells all of it anew and lacks only
the key. What follows from the plan, the secret and the recorded actions is caught without the key, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name
from consumers.scoring.copies import Holder
from events.copies import CopiesFound
from events.cycles import CyclePlanned
from events.episodes import EpisodeCompleted
from events.ids import CycleId, Uid
from events.verification import (
    CheckedSample,
    FailureReason,
    InconclusiveReason,
    Measure,
    Method,
    Mismatch,
    OnFailure,
    Suspension,
    Undecided,
    VerificationFailed,
    VerificationOutcome,
    VerificationPassed,
    VerificationTerms,
)
from tests.controls import facts
from tests.controls.checked_cycle import CHECKED, CHECKS, OUTCOMES, PLAN
from tests.controls.exports import KEY, body_of, cycle_export, document, exported, key_of
from tests.controls.mutations import altered, differing, leaves, put
from tests.controls.spot_checks import checks_of, compared, failed, passed

BODIES = cycle_export(PLAN, OUTCOMES, checks=CHECKS)
TRUE = [document(body) for body in BODIES]
KINDS = [body["type"] for body in TRUE]
FIRST = next(place for place, kind in enumerate(KINDS) if kind.startswith("kinitro.verification."))
SEALED, WEIGHED, COPIES = FIRST + len(CHECKS), FIRST + len(CHECKS) + 1, FIRST + len(CHECKS) + 2
BY_UID = dict(zip(CHECKED, CHECKS, strict=True))


class Forged(NamedTuple):
    what: str
    bodies: Sequence[bytes]
    names: frozenset[Name]
    """The checks that differ, beside the signature."""


def failing(bodies: Sequence[bytes], *, pinned: bool = True) -> set[Name]:
    return differing(PLAN.cycle, exported(bodies), key_of(KEY) if pinned else None)


def replaced(place: int, body: bytes) -> list[bytes]:
    return [*BODIES[:place], body, *BODIES[place + 1 :]]


def retold(checks: Sequence[VerificationOutcome], plan: CyclePlanned = PLAN) -> list[bytes]:
    """The story once more, with all that follows; the signatures are those of the true one."""
    story = [document(body) for body in cycle_export(plan, OUTCOMES, checks=checks)]
    for place in (0, -2, -1):
        story[place]["data"] = TRUE[place]["data"]
    return [body_of(event) for event in story]


def instead(uid: int, check: VerificationOutcome) -> list[VerificationOutcome]:
    return [check if it.uid == uid else it for it in CHECKS]


def with_sample(of: int, number: int, update: dict[str, Any]) -> list[VerificationOutcome]:
    def change(samples: Sequence[CheckedSample]) -> list[CheckedSample]:
        return [it.model_copy(update=update) if place == number else it for place, it in enumerate(samples)]

    return with_samples(of, change(samples_of(of)))


def samples_of(uid: int) -> tuple[CheckedSample, ...]:
    check = BY_UID[uid]
    assert isinstance(check, VerificationPassed | VerificationFailed)
    assert check.compared is not None
    return check.compared.samples


def with_samples(uid: int, samples: Sequence[CheckedSample]) -> list[VerificationOutcome]:
    return with_comparison(uid, samples=tuple(samples))


def with_comparison(uid: int, **update: Any) -> list[VerificationOutcome]:
    check = BY_UID[uid]
    assert isinstance(check, VerificationPassed | VerificationFailed)
    assert check.compared is not None
    return instead(uid, check.model_copy(update={"compared": check.compared.model_copy(update=update)}))


def with_terms(**update: Any) -> CyclePlanned:
    assert PLAN.verification is not None
    terms = VerificationTerms.model_validate({**PLAN.verification.model_dump(), **update})
    return PLAN.model_copy(update={"verification": terms})


def forged_samples() -> Iterator[tuple[str, Sequence[VerificationOutcome]]]:
    for uid in (1, 3, 5):
        for number, sample in enumerate(samples_of(uid)):
            for name, value in (
                ("uid", Uid((sample.uid + 1) % 8)),
                ("env", facts.PUSH if sample.env == facts.REACH else facts.REACH),
                ("index", (sample.index + 1) % 3),
                ("step", sample.step + 1),
                ("committed", (sample.committed[0], (0.5,) * 7)),
                ("served", ((0.5,) * 7,)),
                ("error", 0.25),
                ("score", 0.5),
                ("mismatch", Mismatch.WRONG_SHAPE),
            ):
                yield f"{name} of sample {number} of uid {uid}", with_sample(uid, number, {name: value})
            more = {"committed": (*sample.committed, *sample.committed)}
            yield f"more repeats of the code at sample {number} of uid {uid}", with_sample(uid, number, more)
            more = {"served": (*sample.served, *sample.served)}
            yield f"more repeats of the endpoint at sample {number} of uid {uid}", with_sample(uid, number, more)
        yield from forged_evaluations(uid)
        one, two = samples_of(uid)
        yield f"samples of uid {uid} exchanged", with_samples(uid, [two, one])
        yield f"a sample of uid {uid} twice", with_samples(uid, [one, one])
        yield f"more samples of uid {uid} than are asked for", with_samples(uid, [one, two, one])
        for field, other in (
            ("method", Method.BY_DISTRIBUTION),
            ("score", 0.75),
            ("p_value", 0.5),
            ("false_alarm_rate", 0.0005),
        ):
            yield f"{field} of uid {uid}", with_comparison(uid, **{field: other})


def forged_evaluations(uid: int) -> Iterator[tuple[str, Sequence[VerificationOutcome]]]:
    for number, sample in enumerate(samples_of(uid)):
        if (it := sample.evaluated) is None:
            forged = next(other.evaluated for other in samples_of(uid) if other.evaluated)
            yield f"of another's sample {number} of uid {uid}", with_sample(uid, number, {"evaluated": forged})
            continue
        yield f"no evaluation of sample {number} of uid {uid}", with_sample(uid, number, {"evaluated": None})
        other = (0.25,) * 7
        for name, value in (
            ("given", (0.25,) * 4),
            ("given", (0.25,) * 3),
            ("committed", (0.25,) * 4),
            ("alone", other),
            ("alone", None),
            ("after_others", other),
            ("after_others", None),
            ("elsewhere", (other, other)),
            ("elsewhere", ((0.25,) * 3,)),
            ("error", 0.25),
            ("undecided", Undecided.KEEPS_STATE),
            ("undecided", Undecided.BY_DISTRIBUTION),
        ):
            forged = it.model_copy(update={name: value})
            yield f"{name} of evaluation {number} of uid {uid}", with_sample(uid, number, {"evaluated": forged})


def forged_verdicts() -> Iterator[tuple[str, Sequence[VerificationOutcome]]]:
    failed_1, passed_5 = BY_UID[1], BY_UID[5]
    assert isinstance(failed_1, VerificationFailed)
    assert failed_1.compared is not None
    assert isinstance(passed_5, VerificationPassed)
    yield "failed told as passed", instead(1, passed(PLAN, Uid(1), failed_1.compared))
    as_failed = facts.verification_failed(4, 5).model_copy(update={"compared": passed_5.compared})
    yield "passed told as failed", instead(5, as_failed)
    for reason in (FailureReason.NOT_REPEATED, FailureReason.CODE_FAILED):
        yield f"failed as {reason}", instead(1, failed_1.model_copy(update={"reason": reason}))
    yield "failed without actions", instead(1, failed_1.model_copy(update={"compared": None}))
    other = facts.committed_files(5).model_copy(update={"commit": "f" * 40})
    yield "of another commit", instead(5, passed_5.model_copy(update={"committed": other}))
    for reason in (FailureReason.REPOSITORY_REFUSED, FailureReason.CODE_FAILED, FailureReason.ENDPOINT_FAILED):
        whole = facts.verification_failed(4, 1, reason=reason)
        for name in ("committed", "sandbox", "compared"):
            changed = getattr(failed_1, name) if getattr(whole, name) is None else None
            yield f"{reason}, another {name}", instead(1, whole.model_copy(update={name: changed}))
    yield "of another plan's repository", instead(5, passed_5.model_copy(update={"repo": "user/other"}))
    yield "of another revision", instead(5, passed_5.model_copy(update={"revision": "f" * 8}))
    yield "of another hotkey", instead(5, passed_5.model_copy(update={"hotkey": "hotkey-6"}))


def forged_draws() -> Iterator[tuple[str, Sequence[VerificationOutcome], CyclePlanned]]:
    for uid in CHECKED:
        yield f"uid {uid} not checked", [it for it in CHECKS if it.uid != uid], PLAN
    for uid in (0, 2, 6, 7, 9):
        more = [*CHECKS, facts.verification_inconclusive(4, uid)]
        yield f"uid {uid} checked without being drawn", more, PLAN
    for name, plans in (
        ("rate 1", with_terms(rate="1")),
        ("rate 0", with_terms(rate="0")),
        ("tolerance 1", with_terms(tolerance="1")),
        ("another measure", with_terms(measure=Measure.WHOLE_ACTION)),
        ("one sample", with_terms(samples=1)),
        ("no terms", PLAN.model_copy(update={"verification": None})),
        ("uid 2 suspended", with_terms(suspended=[suspension(2, 1), suspension(3, 1), suspension(4, 2)])),
        ("uid 9 suspended", with_terms(suspended=[suspension(3, 1), suspension(4, 2), suspension(9, 1)])),
        ("suspended by a later cycle", with_terms(suspended=[suspension(3, 1), suspension(4, 4)])),
    ):
        yield name, CHECKS, plans


def suspension(uid: int, cycle: int) -> Suspension:
    return Suspension(uid=Uid(uid), failed_in=CycleId(cycle))


def caught() -> Iterator[Forged]:
    """By the check that is for it, whoever signs."""
    names = frozenset({Name.CHECKS})
    for what, checks in (*forged_samples(), *forged_verdicts()):
        yield Forged(what, retold(checks), names)
    for what, checks, plan in forged_draws():
        if all(it.uid < 8 for it in checks):
            yield Forged(what, retold(checks, plan), names)


def vouched_for() -> Iterator[Forged]:
    """What nobody can know afterwards: the root has it, and with it the signature."""
    nothing = frozenset[Name]()
    check = BY_UID[5]
    for name, value in (("duration_s", 1.0), ("verifier", "another"), ("sandbox", "docker")):
        yield Forged(name, retold(instead(5, check.model_copy(update={name: value}))), nothing)
    detail = BY_UID[4].model_copy(update={"detail": "another"})
    yield Forged("detail", retold(instead(4, detail)), nothing)
    for reason in (InconclusiveReason.TOO_LATE, InconclusiveReason.HUB_TROUBLE):
        yield Forged(
            f"inconclusive: {reason}", retold(instead(4, BY_UID[4].model_copy(update={"reason": reason}))), nothing
        )
    yield Forged("passed told as inconclusive", retold(instead(5, facts.verification_inconclusive(4, 5))), nothing)
    for plan in (
        with_terms(on_failure=OnFailure.NOTHING),
        with_terms(within_s=1),
        with_terms(suspended=[suspension(3, 2), suspension(4, 2)]),
    ):
        yield Forged(str(plan.verification), retold(CHECKS, plan), nothing)


CAUGHT, VOUCHED_FOR = list(caught()), list(vouched_for())


def test_there_are_more_than_sixty_and_the_true_cycle_is_identical() -> None:
    assert len(CAUGHT) + len(VOUCHED_FOR) > 60
    audit = audit_export(PLAN.cycle, exported(BODIES), key_of(KEY))
    assert audit.verdict == "identical"
    assert {Name.CHECKS, Name.COPIES} <= {verdict.name for verdict in audit.verdicts}


def test_what_does_not_follow_from_plan_secret_and_actions_is_caught_by_the_check_of_the_checks() -> None:
    for forged in CAUGHT:
        assert failing(forged.bodies, pinned=False) == {Name.SIGNATURE, *forged.names}, forged.what


def test_what_nobody_can_know_is_under_the_signature() -> None:
    for forged in VOUCHED_FOR:
        assert failing(forged.bodies) == {Name.SIGNATURE}, forged.what


def test_each_byte_of_a_check_is_under_the_root() -> None:
    for place in range(FIRST, SEALED):
        for path, value in leaves(document(BODIES[place])):
            for other in altered(value):
                found = failing(replaced(place, put(BODIES[place], path, other)))
                assert found & {Name.ROOT, Name.EVENTS}, (place, path, other)


def test_checks_that_are_dropped_doubled_or_moved_are_caught() -> None:
    for place in range(FIRST, SEALED):
        dropped = [*BODIES[:place], *BODIES[place + 1 :]]
        assert {Name.ROOT, Name.CHECKS} <= failing(dropped)
        assert Name.PLAN in failing([*BODIES[:place], BODIES[place], *BODIES[place:]])
        assert {Name.PLAN, Name.ROOT} <= failing([*dropped[:SEALED], BODIES[place], *dropped[SEALED:]])
        before_an_outcome = [*dropped[: FIRST - 1], BODIES[place], *dropped[FIRST - 1 :]]
        assert {Name.PLAN, Name.ROOT} <= failing(before_an_outcome)


def test_a_check_of_who_is_not_in_the_plan_is_caught() -> None:
    stranger = [*CHECKS, facts.verification_inconclusive(4, 9)]
    assert Name.CHECKS in failing(retold(stranger), pinned=False)


def test_checks_in_a_cycle_without_terms_are_caught() -> None:
    plan = facts.planned(4, uids=tuple(range(8)), episodes=3)
    assert failing(cycle_export(plan, OUTCOMES, checks=CHECKS)) == {Name.CHECKS}


def test_a_cycle_without_a_recorded_step_cannot_have_compared_anything() -> None:
    outcomes = [facts.forfeited(it.key) for it in OUTCOMES]
    assert failing(cycle_export(PLAN, outcomes, checks=CHECKS)) == {Name.CHECKS}
    reason = InconclusiveReason.NO_RECORDINGS
    checks = [facts.verification_inconclusive(4, uid, reason=reason) for uid in CHECKED]
    assert failing(cycle_export(PLAN, outcomes, checks=checks)) == set()


@pytest.mark.parametrize("differ", [False, True])
def test_a_comparison_by_distribution_is_made_again(differ: bool) -> None:
    comparison = compared(PLAN, OUTCOMES, Uid(5), differ=differ, stochastic=True)
    assert comparison.method is Method.BY_DISTRIBUTION
    check = failed(PLAN, Uid(5), comparison) if differ else passed(PLAN, Uid(5), comparison)
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, check))) == set()
    forged = check.model_copy(update={"compared": comparison.model_copy(update={"p_value": 0.123})})
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, forged))) == {Name.CHECKS}


def test_code_that_says_it_is_seeded_and_is_not_has_failed() -> None:
    comparison = compared(PLAN, OUTCOMES, Uid(5), stochastic=True, seeded=True)
    check = failed(PLAN, Uid(5), comparison)
    assert check.reason is FailureReason.NOT_REPEATED
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, check))) == set()
    forged = check.model_copy(update={"compared": comparison.model_copy(update={"seeded": False})})
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, forged))) == {Name.CHECKS}


def test_what_was_done_in_the_evaluation_fails_a_check_and_is_judged_again() -> None:
    comparison = compared(PLAN, OUTCOMES, Uid(5), differed=True)
    check = failed(PLAN, Uid(5), comparison)
    assert check.reason is FailureReason.EVALUATION_DIFFERS
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, check))) == set()
    for reason in (FailureReason.ACTIONS_DIFFER, FailureReason.NOT_REPEATED):
        forged = check.model_copy(update={"reason": reason})
        assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, forged))) == {Name.CHECKS}
    told_as_passed = passed(PLAN, Uid(5), comparison)
    assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, told_as_passed))) == {Name.CHECKS}


def test_fewer_samples_are_right_where_recordings_had_gone() -> None:
    comparison = compared(PLAN, OUTCOMES, Uid(5))
    for kept in comparison.samples:
        fewer = comparison.model_copy(update={"samples": (kept,), "score": kept.score})
        assert failing(cycle_export(PLAN, OUTCOMES, checks=instead(5, passed(PLAN, Uid(5), fewer)))) == set()


# Standings.


@pytest.mark.parametrize("miner", range(8))
def test_a_standing_that_says_otherwise_who_is_unverified_is_caught(miner: int) -> None:
    changed = document(BODIES[WEIGHED])
    standing = changed["data"]["standings"][miner]
    if standing.pop("unverified", False) is False:
        standing["unverified"] = True
    assert failing(replaced(WEIGHED, body_of(changed))) == {Name.WEIGHTS}


def test_weight_for_who_is_unverified_is_caught_even_without_the_key() -> None:
    unchecked = PLAN.model_copy(update={"verification": None})
    paid = next(it for it in map(document, cycle_export(unchecked, OUTCOMES)) if it["type"] == KINDS[WEIGHED])
    changed = document(BODIES[WEIGHED])
    for name in ("standings", "weights_u16"):
        changed["data"][name] = paid["data"][name]
    assert {Name.WEIGHTS, Name.U16} <= failing(replaced(WEIGHED, body_of(changed)), pinned=False)


# Copies.


def test_each_field_of_the_copies_is_caught() -> None:
    for path, value in leaves(document(BODIES[COPIES])):
        for other in altered(value):
            found = failing(replaced(COPIES, put(BODIES[COPIES], path, other)))
            is_earlier = path[-1] == "seen_in" and other == PLAN.cycle - 1
            unvouched = path == ("source",) or path == ("id",) or path == ("time",) or is_earlier
            expected = set() if unvouched and not found else found & {Name.COPIES, Name.EVENTS}
            assert found == expected, (path, other)
            assert found or unvouched, (path, other)


def test_copies_that_are_dropped_doubled_reordered_or_moved_are_caught() -> None:
    dropped = [*BODIES[:COPIES], *BODIES[COPIES + 1 :]]
    assert failing(dropped) == {Name.COPIES}
    assert Name.PLAN in failing([*BODIES[:COPIES], BODIES[COPIES], *BODIES[COPIES:]])
    assert Name.COPIES in failing([*dropped[:WEIGHED], BODIES[COPIES], *dropped[WEIGHED:]])
    copies = document(BODIES[COPIES])["data"]["copies"]
    assert [it["kind"] for it in copies] == ["files", "actions"]
    for others in (copies[::-1], copies[:1], copies[1:], [*copies, copies[0]]):
        assert failing(replaced(COPIES, put(BODIES[COPIES], ("data", "copies"), others))) == {Name.COPIES}


def test_a_copy_that_nothing_shows_is_caught() -> None:
    story = cycle_export(PLAN, OUTCOMES, checks=[*CHECKS[:-1], passed_with_own_files()])
    assert failing(story) == set()
    data = document(BODIES[COPIES])["data"]
    place = next(at for at, body in enumerate(story) if document(body)["type"] == CopiesFound.type)
    forged = [*story[:place], put(story[place], ("data",), data), *story[place + 1 :]]
    assert failing(forged) == {Name.COPIES}


def passed_with_own_files() -> VerificationOutcome:
    return passed(PLAN, Uid(5), compared(PLAN, OUTCOMES, Uid(5)))


def test_what_an_earlier_cycle_showed_is_taken_as_told_and_the_rest_has_to_follow() -> None:
    digest = facts.committed_files(3).files[0].sha256
    known = {digest: Holder(2, Uid(0), facts.hotkey(0), CycleId(2))}
    story = cycle_export(PLAN, OUTCOMES, checks=CHECKS, known=known)
    assert failing(story) == set()
    place = next(at for at, body in enumerate(story) if document(body)["type"] == CopiesFound.type)
    copies = document(story[place])["data"]["copies"]
    assert [(it["uid"], it["of_hotkey"], it["seen_in"]) for it in copies if it["kind"] == "files"] == [
        (3, "hotkey-0", 2),
        (5, "hotkey-0", 2),
    ]
    only_one = [it for it in copies if it["uid"] != 5]
    forged = [*story[:place], put(story[place], ("data", "copies"), only_one), *story[place + 1 :]]
    assert failing(forged) == {Name.COPIES}


def test_a_plan_from_before_copies_were_told_needs_none() -> None:
    plan = document(BODIES[1])
    assert plan["type"] == CyclePlanned.type
    older = {**plan, "schemaversion": 4, "data": {k: v for k, v in plan["data"].items() if k != "verification"}}
    story = [*BODIES[:1], body_of(older), *BODIES[2:FIRST], *BODIES[SEALED:COPIES], *BODIES[COPIES + 1 :]]
    assert Name.COPIES not in failing(story)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.integers(0, 3), min_size=48, max_size=48).filter(any), samples=st.integers(1, 5))
def test_probes_that_are_drawn_miner_by_miner_are_those_of_all(steps: list[int], samples: int) -> None:
    completed = (it for it in OUTCOMES if isinstance(it, EpisodeCompleted))
    outcomes = [it.model_copy(update={"steps": taken}) for it, taken in zip(completed, steps, strict=True)]
    plan = with_terms(samples=samples, rate="1")
    assert failing(cycle_export(plan, outcomes, checks=checks_of(plan, outcomes))) == set()
