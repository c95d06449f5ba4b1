from __future__ import annotations

from fractions import Fraction

import pytest

from consumers.scoring.rates import Rate, tally
from events.episodes import EpisodeOutcome
from events.weights import EnvironmentTally
from tests.controls import facts


def test_forfeited_episodes_count_and_abandoned_ones_do_not() -> None:
    counts = EnvironmentTally(completed=6, successful=3, forfeited=4, abandoned=90)
    assert Rate.of(counts) == Rate(successes=3, counted=10)


def test_rate_is_exact() -> None:
    assert Rate(1, 3).value == Fraction(1, 3)


def test_rate_without_counted_episodes_is_zero() -> None:
    assert Rate(0, 0).value == 0


@pytest.mark.parametrize(("successes", "counted"), [(4, 3), (-1, 3), (1, 0)])
def test_impossible_counts_are_refused(successes: int, counted: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes of {counted}"):
        Rate(successes, counted)


def test_tally_counts_each_outcome_where_it_belongs() -> None:
    plan = facts.planned(uids=(0, 1), environments=(facts.REACH, facts.PUSH), episodes=4)
    outcomes: list[EpisodeOutcome] = [
        facts.completed(facts.key(uid=0, env=facts.REACH, index=0), success=True),
        facts.completed(facts.key(uid=0, env=facts.REACH, index=1), success=False),
        facts.forfeited(facts.key(uid=0, env=facts.REACH, index=2)),
        facts.abandoned(facts.key(uid=0, env=facts.REACH, index=3)),
        facts.completed(facts.key(uid=1, env=facts.PUSH, index=0), success=True),
    ]
    nothing = EnvironmentTally(completed=0, successful=0, forfeited=0, abandoned=0)
    assert tally(plan, outcomes) == {
        0: {
            facts.REACH: EnvironmentTally(completed=2, successful=1, forfeited=1, abandoned=1),
            facts.PUSH: nothing,
        },
        1: {
            facts.REACH: nothing,
            facts.PUSH: EnvironmentTally(completed=1, successful=1, forfeited=0, abandoned=0),
        },
    }
