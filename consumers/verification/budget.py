"""How many samples are compared: so many that a check ends in time though both sides take all that they may. Pure.

    first run of the code   later runs, and the questions of `otherwise`   the endpoint, with resets and retries
    └ at_first              └ by_value; after one more run by_distribution

Without it a slow miner that keeps every limit could make its check always come too late, which has no consequence.
What is left is read from the clock before each part; what is kept fits a share of it, and the rest of that is for
our own work. The first run tells how fast the code is, and what it may take afterwards is a multiple of that, so that
quick code is compared on all samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consumers.verification.limits import (
    CODE_ANSWER_S,
    CODE_LATER_FACTOR,
    CODE_SLACK_S,
    ENDPOINT_RETRY_S,
    REPEATS_BY_DISTRIBUTION,
    REPEATS_BY_VALUE,
    code_allowance_s,
    endpoint_act_ms,
    endpoint_allowance_s,
    endpoint_reset_ms,
)
from consumers.verification.terms import CheckTerms

FIRST_SHARE, FOLLOWING_SHARE = 0.3, 0.85
"""Of what is left then. What follows the first run has 60% of the whole, as 0.85 of 0.7 is."""


@dataclass(frozen=True, slots=True)
class Length:
    """What one sample asks for."""

    acts: int
    is_asked_otherwise: bool = False
    """Whether it is an own episode's (`otherwise`)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What the code took so far on average, in seconds."""

    act_s: float
    reset_s: float


Lengths = Sequence[Length]
Kept = list[int]
"""Places of samples, rising; none where not even the shortest fits."""


def later_allowance_s(pace: Pace, acts: int, resets: int, runs: int = 1) -> float:
    """For so many runs of so many actions together, of code that has shown its pace."""
    expected_s = runs * (acts * pace.act_s + resets * pace.reset_s)
    return min(runs * code_allowance_s(acts), CODE_SLACK_S + CODE_LATER_FACTOR * expected_s)


def at_first(lengths: Lengths, left_s: float) -> Kept:
    """For the first run, when the code is loaded."""
    return _fitting(lengths, first_s, FIRST_SHARE * left_s)


def by_value(lengths: Lengths, pace: Pace, terms: CheckTerms, left_s: float) -> Kept:
    """For all that follows the first run."""
    return _fitting(lengths, lambda some: by_value_s(some, pace, terms), FOLLOWING_SHARE * left_s)


def by_distribution(lengths: Lengths, pace: Pace, terms: CheckTerms, left_s: float) -> Kept:
    """For all that follows where the code does not repeat itself."""
    return _fitting(lengths, lambda some: by_distribution_s(some, pace, terms), FOLLOWING_SHARE * left_s)


def first_s(lengths: Lengths) -> float:
    """The first run at worst."""
    return code_allowance_s(_acts(lengths)) + CODE_ANSWER_S


def later_s(lengths: Lengths, pace: Pace, runs: int) -> float:
    """Later runs of the code at worst."""
    return later_allowance_s(pace, _acts(lengths), len(lengths), runs) + CODE_ANSWER_S


def by_value_s(lengths: Lengths, pace: Pace, terms: CheckTerms) -> float:
    """All that follows the first run at worst."""
    later = later_s(lengths, pace, REPEATS_BY_VALUE - 1)
    return later + otherwise_s(lengths, pace, len(terms.environments)) + endpoint_s(lengths, terms, 1)


def by_distribution_s(lengths: Lengths, pace: Pace, terms: CheckTerms) -> float:
    """All that follows the first two runs at worst."""
    later = later_s(lengths, pace, REPEATS_BY_DISTRIBUTION - REPEATS_BY_VALUE)
    return later + endpoint_s(lengths, terms, REPEATS_BY_DISTRIBUTION)


def otherwise_s(lengths: Lengths, pace: Pace, environments: int) -> float:
    """The questions of `otherwise` at worst: each sample may come after the longest."""
    longest = max(each.acts for each in lengths)
    return sum(
        later_allowance_s(pace, longest + each.acts + 1 + environments, 2 + environments) + CODE_ANSWER_S
        for each in lengths
        if each.is_asked_otherwise
    )


def endpoint_s(lengths: Lengths, terms: CheckTerms, repeats: int) -> float:
    """All runs of the endpoint at worst, each reset with its deadline, and one more reset and act that fail last."""
    reset_s = endpoint_reset_ms(terms.reset_deadline_ms, terms.act_deadline_ms) / 1000
    act_s = endpoint_act_ms(terms.act_deadline_ms) / 1000
    acting_s = endpoint_allowance_s(repeats * _acts(lengths), terms.act_deadline_ms) + act_s
    return acting_s + repeats * len(lengths) * reset_s + ENDPOINT_RETRY_S + reset_s + act_s


def shortest(lengths: Lengths) -> Kept:
    """Where none fits."""
    return [min(range(len(lengths)), key=lambda place: lengths[place].acts)]


def _fitting(lengths: Lengths, worst_s: Callable[[Lengths], float], most_s: float) -> Kept:
    """The first so many samples; where not even the first fits, the shortest."""
    fit = [count for count in range(1, len(lengths) + 1) if worst_s(lengths[:count]) <= most_s]
    if fit:
        return list(range(fit[-1]))
    least = shortest(lengths)
    return least if worst_s([lengths[place] for place in least]) <= most_s else []


def _acts(lengths: Lengths) -> int:
    return sum(each.acts for each in lengths)
