from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.scoring.rates import Rate
from consumers.scoring.standings import Contender, Standings, score
from events.ids import Uid
from events.rules import PointScheme, ScoringRules
from tests.consumers.scoring import oracle
from tests.controls import tables

RULES = ScoringRules()
SCHEMES = list(PointScheme)
ROOT = Path(__file__).parents[3]

counts = st.sampled_from([0, 1, 2, 5, 10, 50, 100]) | st.integers(0, 60)
rates = counts.flatmap(lambda counted: st.builds(Rate, st.integers(0, counted), st.just(counted)))
tied_rates = st.builds(Rate, st.integers(0, 100).map(lambda it: it // 5 * 5), st.just(100))


@st.composite
def contests(draw: st.DrawFn) -> list[Contender]:
    """Up to 6 miners on up to 10 environments; committed blocks and rates coincide often."""
    environments = draw(st.integers(1, 10))
    uids = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True))
    rows = st.tuples(*[draw(st.sampled_from([rates, tied_rates]))] * environments)
    return [Contender(Uid(uid), draw(st.integers(0, 2)), draw(rows)) for uid in uids]


def rules_of(scheme: PointScheme) -> ScoringRules:
    return ScoringRules(points=scheme)


def percent(*rows: tuple[int, ...]) -> list[Contender]:
    """The earliest first, of 100 episodes: gaps are 0.045 at 10 and 90 %, 0.06 at 20 and 80 %, 0.075 at 50 %."""
    return tables.contenders(rows, 100)


def points(contenders: list[Contender], scheme: PointScheme = PointScheme.LINEAR) -> list[int]:
    return score(contenders, 100, rules_of(scheme)).points


@pytest.mark.parametrize("scheme", SCHEMES)
@given(contenders=contests())
@settings(max_examples=60)
def test_points_are_those_of_enumerating_all_subsets(scheme: PointScheme, contenders: list[Contender]) -> None:
    assert points(contenders, scheme) == oracle.points(contenders, rules_of(scheme))


@given(contenders=contests(), planned=st.integers(0, 60))
def test_frontier_and_epsilons_are_those_of_the_definitions(contenders: list[Contender], planned: int) -> None:
    found = score(contenders, planned, RULES)
    assert found.on_frontier == oracle.frontier(contenders, planned, RULES)
    expected = oracle.epsilons(contenders, planned, RULES)
    for margin, epsilon in zip(found.epsilons, expected, strict=True):
        assert abs(margin.squared - epsilon**2) < Decimal("1e-100")


@given(
    contenders=contests(),
    z=st.decimals(0, 3, places=2),
    gaps=st.tuples(st.decimals(0, 1, places=2), st.decimals(0, 1, places=2)).map(sorted),
)
@settings(max_examples=30)
def test_rules_of_the_cycle_are_followed(contenders: list[Contender], z: Decimal, gaps: list[Decimal]) -> None:
    rules = ScoringRules(threshold_z=z, gap_min=gaps[0], gap_max=gaps[1])
    assert score(contenders, 50, rules).points == oracle.points(contenders, rules)


@given(contenders=contests(), random=st.randoms(use_true_random=False))
def test_order_of_contenders_changes_nothing(contenders: list[Contender], random: Random) -> None:
    shuffled = random.sample(contenders, len(contenders))
    assert by_uid(shuffled) == by_uid(contenders)


def by_uid(contenders: list[Contender]) -> dict[Uid, tuple[bool, int, Decimal | None, int | None]]:
    found = score(contenders, 50, RULES)
    nothing = [None] * len(contenders)
    columns = (found.on_frontier, found.points, found.weights or nothing, found.weights_u16 or nothing)
    return {who.uid: it for who, *it in zip(contenders, *columns, strict=True)}  # type: ignore[misc]


def test_only_miner_wins_every_subset() -> None:
    alone = percent((40, 40, 40))
    assert points(alone, PointScheme.LINEAR) == [1 * 3 + 2 * 3 + 3 * 1]
    assert points(alone, PointScheme.EXPONENTIAL) == [1 * 3 + 2 * 3 + 4 * 1]
    assert points(alone, PointScheme.EQUAL) == [7]


def test_later_miner_that_exceeds_everything_takes_everything() -> None:
    assert points(percent((50, 50), (80, 80))) == [0, 4]


def test_later_miner_within_the_gap_takes_nothing() -> None:
    assert points(percent((50, 50), (57, 57))) == [4, 0]


def test_subset_is_lost_only_as_a_whole() -> None:
    """The later miner takes {1}. The earlier one keeps {0} and {0, 1}, where it is not exceeded on all."""
    assert points(percent((50, 50), (50, 80))) == [1 + 2, 1]


def test_environments_shared_out_among_three_miners() -> None:
    """The second takes {1}, the third {2}; {1, 2} is exceeded by neither alone and stays with the first."""
    assert points(percent((50, 50, 50), (10, 80, 10), (10, 10, 80)), PointScheme.EQUAL) == [5, 1, 1]


def test_later_miner_must_exceed_every_earlier_one() -> None:
    assert points(percent((20,), (90,), (50,))) == [0, 1, 0]


def test_environment_without_a_success_is_not_won() -> None:
    assert points(percent((0, 50), (0, 10))) == [1, 0]


def test_rate_exactly_at_the_threshold_does_not_exceed_it() -> None:
    """0.9 with 100 episodes has a gap of 1.5 x 0.03 = 0.045: the threshold is 0.945."""
    first = Contender(Uid(0), 1, (Rate(90, 100),))
    at_threshold = Contender(Uid(1), 2, (Rate(945, 1000),))
    above = Contender(Uid(1), 2, (Rate(946, 1000),))
    assert points([first, at_threshold]) == [1, 0]
    assert points([first, above]) == [0, 1]


def test_rate_of_one_is_never_exceeded() -> None:
    assert points(percent((100,), (100,))) == [1, 0]


def test_threshold_above_one_is_met_by_nobody() -> None:
    """0.96 + 0.029 is below 1 and can be exceeded; 0.99 + 0.02 cannot."""
    assert points(percent((96,), (100,))) == [0, 1]
    assert points(percent((99,), (100,))) == [1, 0]


def test_miner_without_counted_episodes_is_exceeded_from_a_tenth_on() -> None:
    absent = Contender(Uid(0), 1, (Rate(0, 0),))
    assert points([absent, Contender(Uid(1), 2, (Rate(10, 100),))]) == [0, 0]
    assert points([absent, Contender(Uid(1), 2, (Rate(11, 100),))]) == [0, 1]


def test_earlier_is_by_committed_block_then_by_uid() -> None:
    equal = (Rate(50, 100),)
    same_block = [Contender(Uid(7), 5, equal), Contender(Uid(3), 5, equal)]
    assert points(same_block) == [0, 1]
    lower_uid_later = [Contender(Uid(7), 4, equal), Contender(Uid(3), 5, equal)]
    assert points(lower_uid_later) == [1, 0]


def test_nobody_with_points_gets_no_weights() -> None:
    nobody = score(percent((0, 0), (0, 0)), 100, RULES)
    assert (nobody.points, nobody.weights, nobody.weights_u16) == ([0, 0], [], [])


def test_miner_without_points_still_has_its_share_of_the_softmax() -> None:
    found = score(percent((50,), (20,)), 100, RULES)
    assert found.points == [1, 0]
    assert found.weights == [Decimal("0.731058578630004879"), Decimal("0.268941421369995121")]
    assert found.weights_u16 == [47910, 17625]


def test_last_digit_between_equals_goes_to_the_lower_uid() -> None:
    rows = [(Rate(50, 100), Rate(0, 100)), (Rate(0, 100), Rate(50, 100))]
    for uids in permutations((4, 8)):
        contenders = [Contender(Uid(uid), 1, row) for uid, row in zip(uids, rows, strict=True)]
        found = score(contenders, 100, ScoringRules(points=PointScheme.EQUAL))
        shares = dict(zip(uids, found.weights_u16, strict=True))
        assert shares[4] >= shares[8]


def test_fifty_environments_are_counted_exactly() -> None:
    alone = score(tables.contenders([[25] * 50]), 50, RULES)
    assert alone.points == [50 * 2**49]
    assert alone.weights_u16 == [65535]
    assert points(tables.contenders([[25] * 50]), PointScheme.EXPONENTIAL) == [(3**50 - 1) // 2]
    assert points(tables.contenders([[25] * 50]), PointScheme.EQUAL) == [2**50 - 1]


def test_no_environments_leave_nobody_with_points() -> None:
    assert score([Contender(Uid(0), 1, ())], 50, RULES) == Standings([], [True], [0], [], [])


def test_cycle_without_miners_has_empty_standings() -> None:
    assert score([], 50, RULES) == Standings([], [], [], [], [])


def test_one_uid_twice_is_refused() -> None:
    one, other = percent((50,), (50,))
    with pytest.raises(ValueError, match="2 contenders have only 1 different uids"):
        score([one, replace(other, uid=one.uid)], 50, RULES)


def test_rates_on_different_numbers_of_environments_are_refused() -> None:
    one, other = percent((50,), (50, 50))
    with pytest.raises(ValueError, match=r"\[1, 2\] environments"):
        score([one, other], 50, RULES)


def test_more_environments_than_a_machine_word_has_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 64"):
        score(percent((50,) * 65), 50, RULES)


@pytest.mark.parametrize(
    "masks", [tables.random_masks(40, 50, 0.5), tables.without_pairs(60, 50), tables.windows(50, 7)]
)
def test_no_subset_has_two_winners_even_among_fifty_environments(masks: list[int]) -> None:
    """Counted by the scheme that gives one point each, the subsets won are at most all there are."""
    found = score(tables.challenged(50, masks), 50, ScoringRules(points=PointScheme.EQUAL))
    assert 0 < sum(found.points) < 2**50


PRINT_STANDINGS = """
from events.rules import ScoringRules
from consumers.scoring.standings import score
from tests.controls import tables
for table in (tables.random_table(40, 12), tables.challenged(50, tables.random_masks(30, 50, 0.7))):
    found = score(table, 50, ScoringRules(temperature="1e14"))
    print([margin.decimal() for margin in found.epsilons], found)
"""


def test_every_process_gives_the_same_digits() -> None:
    """Hash seeds change the order of sets and dicts; the blas and vector settings change how floats are summed."""
    environments = [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "1", "NPY_DISABLE_CPU_FEATURES": "AVX2 AVX512F AVX512_SKX"},
        {"PYTHONHASHSEED": "4242", "OMP_NUM_THREADS": "1"},
    ]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PRINT_STANDINGS], cwd=ROOT, env=env, capture_output=True, check=True, timeout=100
        ).stdout
        for env in environments
    ]
    assert outputs[0]
    assert len(set(outputs)) == 1


def test_recorded_table_gives_the_recorded_digits() -> None:
    """The digits of today, for ever: a change of any is a new version of the rules."""
    found = score(tables.random_table(5, 6, seed=3), 50, ScoringRules(temperature=Decimal(60)))
    assert [str(margin.decimal()) for margin in found.epsilons] == [
        "0.051024699901126317",
        "0.062009031600243525",
        "0.0120797350964332",
        "0.05134978091481988",
        "0.050520490892310221",
        "0.092024344605109794",
    ]
    assert found.on_frontier == [False, True, True, True, True]
    assert found.points == [174, 4, 3, 1, 0]
    assert [str(weight) for weight in found.weights] == [
        "0.814576374341693312",
        "0.047910508222061560",
        "0.047118617174483441",
        "0.045573885163608345",
        "0.044820615098153342",
    ]
    assert found.weights_u16 == [53383, 3140, 3088, 2987, 2937]
