"""Verdicts and reasons about subsets are those of the enumerated definitions."""

from __future__ import annotations

from hypothesis import given, settings

from consumers.scoring.contest import Contest, Loss, NoSuccess, NotExceeding, Position, Taken
from consumers.scoring.standings import Contender
from events.rules import ScoringRules
from tests.consumers.scoring import oracle
from tests.consumers.scoring.test_standings import contests

RULES = ScoringRules()


def members(mask: int) -> list[int]:
    return [env for env in range(mask.bit_length()) if mask >> env & 1]


def is_true(loss: Loss, subset: list[int], contest: Contest, miner: int) -> bool:
    """Whether the reason holds and is enough, by the definitions."""

    def exceeds(env: int, a: int, b: int) -> bool:
        above = oracle.rate(contest.miners[a].rates[env])
        return above > oracle.threshold(contest.miners[b].rates[env], RULES)

    match loss:
        case NoSuccess(env):
            return env in subset and contest.miners[miner].rates[env].successes == 0
        case NotExceeding(env, rival):
            return env in subset and rival < miner and not exceeds(env, miner, rival)
        case Taken(rival):
            return rival > miner and all(exceeds(env, rival, miner) for env in subset)


@given(contenders=contests())
@settings(max_examples=40, deadline=None)
def test_every_verdict_is_that_of_the_definitions_and_every_reason_true(contenders: list[Contender]) -> None:
    contest = Contest(contenders, 50, RULES)
    exceeding = oracle._exceeding(contest.miners, RULES)
    for place, miner in enumerate(contest.miners):
        position = Position(contest, place)
        for subset in range(1, 1 << len(miner.rates)):
            loss, inside = position.loss(subset), members(subset)
            assert (loss is None) == oracle.wins(miner, inside, contest.miners, exceeding)
            assert loss is None or is_true(loss, inside, contest, place)


@given(contenders=contests())
@settings(max_examples=40, deadline=None)
def test_whoever_is_dominated_is_off_the_frontier(contenders: list[Contender]) -> None:
    contest = Contest(contenders, 50, RULES)
    places = range(len(contest.miners))
    found = [not any(contest.dominates(rival, miner) for rival in places if rival != miner) for miner in places]
    assert found == oracle.frontier(contest.miners, 50, RULES)
