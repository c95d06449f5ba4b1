"""Who failed a spot check, and has passed none since: it keeps its results, and gets no weight."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from consumers.explaining.view import view
from consumers.scoring.evidence import Evidence, EvidenceRefused, UnderSeal
from consumers.scoring.explanation import Scored, explain
from consumers.scoring.rates import tally
from consumers.scoring.rescoring import rescore
from consumers.scoring.shadow import shadow
from consumers.scoring.unpaid import Unpaid
from consumers.scoring.weighing import weigh
from events.codec import decode
from events.cycles import CycleSealed
from events.ids import EnvId, Uid
from events.log import Stored
from events.verification import OnFailure, VerificationOutcome, unverified
from events.weights import WeightsComputed, WeightsWithheld, WithheldReason
from tests.consumers.scoring.test_moved import PROOF
from tests.controls import facts
from tests.controls.checked_cycle import CHECKS, OUTCOMES, PLAN
from tests.controls.exports import cycle_export
from tests.controls.sealed_cycles import outcomes_of, outcomes_where


def of(*numbers: int) -> frozenset[Uid]:
    return frozenset(map(Uid, numbers))


@given(
    wins=st.dictionaries(st.integers(0, 5), st.sampled_from([facts.REACH, facts.PUSH])),
    unpaid=st.sets(st.integers(0, 5)),
)
def test_the_weights_are_those_of_the_cycle_in_which_they_cannot_be_paid_for_another_reason(
    wins: dict[int, EnvId], unpaid: set[int]
) -> None:
    plan = facts.planned(1, uids=tuple(range(6)))
    outcomes = outcomes_where(plan, wins)
    one = weigh(plan, tally(plan, outcomes), facts.sealed(), Unpaid(unverified=of(*unpaid)))
    other = weigh(plan, tally(plan, outcomes), facts.sealed(), Unpaid(moved=of(*unpaid)))
    as_before = weigh(plan, tally(plan, outcomes), facts.sealed())
    exclude = {"moved", "unverified"}
    assert type(one) is type(other)
    assert [it.model_dump(exclude=exclude) for it in one.standings] == [
        it.model_dump(exclude=exclude) for it in other.standings
    ]
    if isinstance(one, WeightsComputed) and isinstance(other, WeightsComputed):
        assert one.weights_u16 == other.weights_u16
    rivals = {*exclude, "weight"}
    assert [it.model_dump(exclude=rivals) for it in one.standings] == [
        it.model_dump(exclude=rivals) for it in as_before.standings
    ]
    assert [it.uid for it in one.standings if it.unverified] == sorted(unpaid)


@pytest.mark.parametrize(
    ("moved", "failed", "reason"),
    [
        ((), (0, 2), WithheldReason.UNVERIFIED),
        ((0,), (2,), WithheldReason.UNVERIFIED),
        ((0, 2), (0,), WithheldReason.UNVERIFIED),
        ((0, 2), (1,), WithheldReason.SLOTS_MOVED),
        ((0, 2), (), WithheldReason.SLOTS_MOVED),
    ],
)
def test_where_nobody_with_points_may_be_paid_the_reason_is_the_check_of_one_of_them(
    moved: tuple[int, ...], failed: tuple[int, ...], reason: WithheldReason
) -> None:
    plan = facts.planned(1, uids=(0, 1, 2))
    outcomes = outcomes_where(plan, {0: facts.REACH, 2: facts.PUSH})
    withheld = weigh(plan, tally(plan, outcomes), facts.sealed(), Unpaid(of(*moved), of(*failed)))
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is reason


def test_where_nobody_has_points_that_is_the_reason() -> None:
    plan = facts.planned(1)
    withheld = weigh(plan, tally(plan, outcomes_of(plan, winners=())), facts.sealed(), Unpaid(unverified=of(0, 1)))
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.NO_POINTS


def test_it_gets_none_under_other_rules_either() -> None:
    unpaid = Unpaid(unverified=unverified(PLAN.verification, CHECKS))
    tallies, announced = tally(PLAN, OUTCOMES), facts.rules_announced(cycle=9)
    given = shadow(PLAN, tallies, announced, unpaid).weights_u16
    assert given is not None
    assert (given.values[1], given.values[4]) == (0, 0)
    published = weigh(PLAN, tally(PLAN, OUTCOMES), facts.sealed(4), unpaid)
    others = {it.uid: it.other for it in rescore(PLAN, tallies, published, announced.rules, unpaid).miners}
    assert [it.u16 for uid in (1, 4) if (it := others[Uid(uid)])] == [0, 0]


def test_an_explanation_says_in_which_cycle_it_failed() -> None:
    weights = weigh(
        PLAN, tally(PLAN, OUTCOMES), facts.sealed(4), Unpaid(unverified=unverified(PLAN.verification, CHECKS))
    )
    assert isinstance(weights, WeightsComputed)
    u16 = dict(zip(weights.weights_u16.uids, weights.weights_u16.values, strict=True))
    scored = Scored(PLAN, weights.standings, u16, PROOF)
    told = {uid: shown(scored, uid) for uid in range(8)}
    assert "no weight: it failed its spot check in cycle 4" in told[1]
    assert "no weight: it failed its spot check in cycle 2" in told[4]
    assert [uid for uid, text in told.items() if "spot check" in text] == [1, 4]


def shown(scored: Scored, uid: int) -> str:
    console = Console(file=StringIO(), width=200)
    with console.capture() as captured:
        console.print(view(explain(scored, Uid(uid))))
    return captured.get()


# From the events under a seal.


def leaves_of(checks: list[VerificationOutcome]) -> tuple[list[Stored], CycleSealed]:
    bodies = cycle_export(PLAN, OUTCOMES, checks=checks, signed=False)
    stored = [Stored(place, decode_subject(body), body) for place, body in enumerate(bodies, start=1)]
    seal = next(event for it in stored if isinstance(event := decode(it).event, CycleSealed))
    return stored[: seal.tree_size], seal


def evidence_of(leaves: list[Stored], seal: CycleSealed) -> Evidence:
    sealed = UnderSeal(seal)
    for leaf in leaves:
        sealed.add([leaf])
    return sealed.evidence()


def decode_subject(body: bytes) -> str:
    return str(body.split(b'"subject":"', 1)[1].split(b'"', 1)[0], "ascii")


def test_the_evidence_says_who_is_unverified() -> None:
    evidence = evidence_of(*leaves_of(CHECKS))
    assert evidence.checks == tuple(CHECKS)
    assert evidence.unpaid == Unpaid(unverified=of(1, 4))


def test_where_the_terms_say_that_nothing_follows_nobody_is_unverified() -> None:
    assert PLAN.verification is not None
    terms = PLAN.verification.model_copy(update={"on_failure": OnFailure.NOTHING})
    assert unverified(terms, CHECKS) == frozenset()


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        (CHECKS[1:], "uid 1: the plan and the revealed secret ask for a spot check, the log has none"),
        (CHECKS[:-1], "uid 5: .* ask for a spot check, the log has none"),
        ([*CHECKS, facts.verification_passed(4, 0)], "uid 0: .* no spot check, the log has kinitro.verification"),
        ([*CHECKS, facts.verification_inconclusive(4, 9)], "uid 9: .* no spot check"),
        ([*CHECKS[:-1], CHECKS[-1].model_copy(update={"repo": "user/other"})], "uid 5: .*user/policy-5@0123abcd"),
        ([*CHECKS[:-1], CHECKS[-1].model_copy(update={"hotkey": "hotkey-7"})], "uid 5: .*hotkey-5"),
    ],
)
def test_a_seal_over_checks_that_are_not_those_that_were_drawn_is_refused(
    checks: list[VerificationOutcome], told: str
) -> None:
    with pytest.raises(EvidenceRefused, match=told):
        evidence_of(*leaves_of(checks))
