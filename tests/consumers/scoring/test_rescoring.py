"""The same episodes under other rules."""

from __future__ import annotations

from decimal import Decimal

from consumers.scoring.rates import tally
from consumers.scoring.rescoring import Rescored, rescore
from consumers.scoring.weighing import weigh, weigh_under
from events.rules import PointScheme, RuleDiffers, ScoringRules
from events.weights import WeightsComputed, WithheldReason
from tests.controls import facts
from tests.controls.sealed_cycles import outcomes_of

PLAN = facts.planned(1, uids=(0, 1, 2))


def rescored(rules: ScoringRules, *, winners: tuple[int, ...] = (0,)) -> Rescored:
    outcomes = outcomes_of(PLAN, winners=winners)
    return rescore(PLAN, tally(PLAN, outcomes), weigh(PLAN, tally(PLAN, outcomes), facts.sealed()), rules)


def test_the_same_rules_give_the_same() -> None:
    result = rescored(PLAN.rules)
    assert result.rules == ()
    assert result.miners
    for miner in result.miners:
        assert miner.published == miner.other


def test_what_is_computed_under_the_plans_rules_is_what_was_published() -> None:
    outcomes = outcomes_of(PLAN)
    published = weigh(PLAN, tally(PLAN, outcomes), facts.sealed())
    again = weigh_under(PLAN.rules, PLAN, tally(PLAN, outcomes))
    assert isinstance(published, WeightsComputed)
    assert (published.epsilons, published.standings) == (again.epsilons, again.standings)
    assert published.weights_u16 == again.weights_u16


def test_rules_that_differ_are_named_with_both_values() -> None:
    result = rescored(ScoringRules(temperature=Decimal("2.0"), points=PointScheme.EQUAL))
    assert result.rules == (
        RuleDiffers("points", "linear", "equal"),
        RuleDiffers("temperature", "1.0", "2.0"),
    )


def test_the_same_value_written_otherwise_does_not_differ() -> None:
    assert rescored(ScoringRules(temperature=Decimal("1.000"))).rules == ()


def test_a_warmer_softmax_takes_from_the_best_and_gives_to_the_others() -> None:
    best, *others = rescored(ScoringRules(temperature=Decimal(10))).miners
    assert best.published
    assert best.other
    assert best.other.weight < best.published.weight
    for miner in others:
        assert miner.published
        assert miner.other
        assert miner.other.u16 > miner.published.u16


def test_miners_with_equal_weights_share_a_rank() -> None:
    ranks = [miner.published.rank for miner in rescored(PLAN.rules).miners if miner.published]
    assert ranks == [1, 2, 2]


def test_where_nobody_has_points_that_is_said_of_both() -> None:
    result = rescored(ScoringRules(threshold_z=Decimal(3)), winners=())
    assert result.published_withheld
    assert result.other_withheld
    assert result.published_withheld.reason is result.other_withheld.reason is WithheldReason.NO_POINTS


def test_rules_that_ask_for_more_coverage_than_there_is_withhold() -> None:
    outcomes = [facts.abandoned(it.key) if it.env == facts.PUSH else it for it in outcomes_of(PLAN)]
    published = weigh(PLAN, tally(PLAN, outcomes), facts.sealed())
    result = rescore(PLAN, tally(PLAN, outcomes), published, ScoringRules(coverage_min=Decimal("0.6")))
    assert result.published_withheld is None
    assert result.other_withheld
    assert result.other_withheld.reason is WithheldReason.CYCLE_ABANDONED
    assert "6 of 12 episodes" in result.other_withheld.detail
    assert {miner.other for miner in result.miners} == {None}


def test_rules_that_ask_for_less_score_a_cycle_that_was_abandoned() -> None:
    outcomes = [facts.abandoned(it.key) if it.env == facts.PUSH else it for it in outcomes_of(PLAN)]
    plan = PLAN.model_copy(update={"rules": ScoringRules(coverage_min=Decimal("0.6"))})
    result = rescore(
        plan, tally(plan, outcomes), weigh(plan, tally(plan, outcomes), facts.cycle_abandoned()), ScoringRules()
    )
    assert result.published_withheld
    assert result.other_withheld is None
    assert result.miners[0].published is None
    assert result.miners[0].other
