"""Who is to blame when a policy seems unreachable."""

from __future__ import annotations

from itertools import product

import pytest

from consumers.simulation.blame import Blame, Check, TryAgain, verdict
from events.episodes import FailureCode
from sim.policy import Doubt, PolicyFailure
from tests.consumers.test_outcomes import forfeit

WORKS, UNKNOWN, BROKEN = Check(asked=3, answered=1), Check(), Check(asked=3, answered=0)
OURS, OTHER = FailureCode.OUR_NETWORK, FailureCode.WORKER_LOST
NEVER = (Doubt.NAME_UNANSWERED, Doubt.NEVER_REACHED)
CHECKS = (WORKS, UNKNOWN, BROKEN)
EARLIER: tuple[tuple[FailureCode, ...], ...] = ((), (OTHER,), (OURS,), (OTHER, OURS), (OURS, OTHER))
ATTEMPTS_MAX = 3


def decided(doubt: Doubt, check: Check, earlier: tuple[FailureCode, ...], attempts_max: int = ATTEMPTS_MAX) -> type:
    it = forfeit(PolicyFailure.UNREACHABLE, doubt)
    return type(verdict(it, check, earlier, attempts_max=attempts_max))


@pytest.mark.parametrize(("check", "earlier"), list(product(CHECKS, EARLIER)))
def test_who_was_heard_is_to_blame(check: Check, earlier: tuple[FailureCode, ...]) -> None:
    assert decided(Doubt.NONE, check, earlier) is Blame


@pytest.mark.parametrize(("check", "earlier"), list(product(CHECKS, EARLIER)))
def test_who_falls_silent_is_to_blame_unless_everybody_has(check: Check, earlier: tuple[FailureCode, ...]) -> None:
    assert decided(Doubt.FELL_SILENT, check, earlier) is (TryAgain if check == BROKEN else Blame)


@pytest.mark.parametrize(("doubt", "check", "earlier"), list(product(NEVER, (UNKNOWN, BROKEN), EARLIER)))
def test_nobody_is_called_dead_by_a_network_that_may_be_dead_itself(
    doubt: Doubt, check: Check, earlier: tuple[FailureCode, ...]
) -> None:
    assert decided(doubt, check, earlier) is TryAgain


@pytest.mark.parametrize(
    ("doubt", "earlier", "expected"),
    [
        (doubt, earlier, expected)
        for doubt in NEVER
        for earlier, expected in [
            ((), TryAgain),
            ((OTHER,), TryAgain),
            ((OURS,), Blame),
            ((OTHER, OURS), Blame),
            ((OURS, OTHER), Blame),
            ((OTHER, OTHER), Blame),  # the last attempt
        ]
    ],
)
def test_by_a_network_that_works_it_takes_two_attempts(
    doubt: Doubt, earlier: tuple[FailureCode, ...], expected: type
) -> None:
    assert decided(doubt, WORKS, earlier) is expected


@pytest.mark.parametrize(("check", "expected"), [(WORKS, Blame), (UNKNOWN, TryAgain), (BROKEN, TryAgain)])
def test_where_there_is_one_attempt_only_the_network_decides(check: Check, expected: type) -> None:
    assert decided(Doubt.NEVER_REACHED, check, (), attempts_max=1) is expected


def test_the_detail_tells_what_was_seen_and_how_we_ruled_ourselves_out() -> None:
    it = forfeit(PolicyFailure.UNREACHABLE, Doubt.NEVER_REACHED)
    assert verdict(it, WORKS, [OURS], attempts_max=3).detail == (
        "what to do, as in an earlier attempt; 1 of 3 policies that answered lately can be connected to now"
    )
    assert verdict(it, UNKNOWN, [], attempts_max=3).detail.startswith(
        "what to do; no other policy answered us lately"
    )
