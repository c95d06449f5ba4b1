"""Who has lost its uid when the cycle ends: it keeps its results, and gets no weight."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from consumers.explaining.view import view
from consumers.scoring.explanation import Scored, explain
from consumers.scoring.explanation_parts import Explanation, Proof
from consumers.scoring.rates import tally
from consumers.scoring.rescoring import rescore
from consumers.scoring.shadow import shadow
from consumers.scoring.standings import score, weights_of
from consumers.scoring.unpaid import Unpaid
from consumers.scoring.weighing import weigh, weigh_under
from events.ids import Uid
from events.rules import ScoringRules
from events.weights import WeightsComputed, WeightsWithheld, WithheldReason
from tests.controls import facts, tables
from tests.controls.sealed_cycles import outcomes_of, outcomes_where

PLAN = facts.planned(1, uids=(0, 1, 2), chain=facts.chain_terms())
OUTCOMES = outcomes_where(PLAN, {0: facts.REACH, 2: facts.PUSH})
RULES = ScoringRules()


def weighed(*moved: int) -> WeightsComputed:
    weights = weigh(PLAN, tally(PLAN, OUTCOMES), facts.sealed(), uids(*moved))
    assert isinstance(weights, WeightsComputed)
    return weights


def uids(*numbers: int) -> Unpaid:
    return Unpaid(moved=frozenset(map(Uid, numbers)))


def test_it_gets_no_weight_and_the_others_share_all_of_it() -> None:
    weights = weighed(0)
    assert weights.standings[0].weight == "0.000000000000000000"
    assert sum(Decimal(it.weight) for it in weights.standings) == 1
    assert weights.weights_u16.uids == (0, 1, 2)
    assert weights.weights_u16.values[0] == 0
    assert sum(weights.weights_u16.values) == 65_535


def test_its_points_frontier_and_rates_and_those_of_its_rivals_stay() -> None:
    for before, after in zip(weighed().standings, weighed(0).standings, strict=True):
        same = {"weight", "moved"}
        assert before.model_dump(exclude=same) == after.model_dump(exclude=same)


def test_its_standing_says_so_and_no_other_does() -> None:
    assert [it.moved for it in weighed(0).standings] == [True, False, False]
    assert [b'"moved"' in it.model_dump_json().encode() for it in weighed(0).standings] == [True, False, False]


def test_where_nobody_moved_the_weights_are_what_they_were_to_the_byte() -> None:
    assert weighed().model_dump_json() == weigh(PLAN, tally(PLAN, OUTCOMES), facts.sealed()).model_dump_json()


def test_where_nobody_else_has_points_the_weights_are_withheld() -> None:
    outcomes = outcomes_of(PLAN, winners=(0,))
    withheld = weigh(PLAN, tally(PLAN, outcomes), facts.sealed(), uids(0))
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.SLOTS_MOVED
    assert [it.moved for it in withheld.standings] == [True, False, False]


def test_where_nobody_has_points_that_is_the_reason() -> None:
    withheld = weigh(PLAN, tally(PLAN, outcomes_of(PLAN, winners=())), facts.sealed(), uids(0))
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.NO_POINTS


def test_where_all_moved_the_weights_are_withheld() -> None:
    withheld = weigh(PLAN, tally(PLAN, OUTCOMES), facts.sealed(), uids(0, 1, 2))
    assert isinstance(withheld, WeightsWithheld)
    assert withheld.reason is WithheldReason.SLOTS_MOVED


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.sets(st.integers(0, 7)))
def test_the_others_share_as_if_those_who_moved_had_never_been(points: list[int], moved: set[int]) -> None:
    everybody = tables.contenders([[0]] * len(points))
    weights, u16 = weights_of(everybody, points, RULES, uids(*moved))
    stay = [place for place, it in enumerate(everybody) if it.uid not in moved]
    expected = weights_of([everybody[place] for place in stay], [points[place] for place in stay], RULES)
    assert ([weights[place] for place in stay] if weights else [], [u16[place] for place in stay] if u16 else []) == (
        expected
    )
    assert sum(weights) in (0, 1)
    assert sum(u16) in (0, 65_535)


def test_the_whole_score_differs_in_the_weights_alone() -> None:
    table = tables.random_table(5, 4, seed=3)
    before, after = score(table, 50, RULES), score(table, 50, RULES, uids(1))
    assert (before.epsilons, before.on_frontier, before.points) == (after.epsilons, after.on_frontier, after.points)
    assert before.weights != after.weights


def test_it_gets_none_under_other_rules_either() -> None:
    tallies, other = tally(PLAN, OUTCOMES), ScoringRules(temperature=Decimal(10))
    given = weigh_under(other, PLAN, tallies, uids(0)).weights_u16
    announced = facts.rules_announced(rules=other)
    assert given is not None
    assert given.values[0] == 0
    assert shadow(PLAN, tallies, announced, uids(0)).weights_u16 == given
    again = next(it for it in rescore(PLAN, tallies, weighed(0), other, uids(0)).miners if it.uid == 0)
    assert again.published is not None
    assert again.other is not None
    assert (again.published.u16, again.other.u16) == (0, 0)


def test_an_explanation_says_why_in_one_line() -> None:
    weights = weighed(0)
    u16 = dict(zip(weights.weights_u16.uids, weights.weights_u16.values, strict=True))
    scored = Scored(PLAN, weights.standings, u16, PROOF)
    told = "no weight: its hotkey no longer held the uid when the cycle ended"
    assert told in shown(explain(scored, Uid(0)))
    assert told not in shown(explain(scored, Uid(2)))


def shown(explanation: Explanation) -> str:
    console = Console(file=StringIO(), width=200)
    with console.capture() as captured:
        console.print(view(explanation))
    return captured.get()


PROOF = Proof(
    plan_subject="evt.cycle.1.plan",
    plan_sequence=1,
    weights_subject="evt.weights.1",
    weights_sequence=20,
    weights_event_id="id",
    merkle_root="ab" * 32,
    first_sequence=1,
    last_sequence=18,
    tree_size=18,
    episodes="/v1/cycles/1/episodes",
)
