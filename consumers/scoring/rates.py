"""From the outcomes of a cycle to success rates: two counts each, never a rounded quotient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from events.cycles import CyclePlanned
from events.episodes import EpisodeAbandoned, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.ids import EnvId, Uid
from events.weights import EnvironmentTally

Tallies = dict[Uid, dict[EnvId, EnvironmentTally]]


@dataclass(frozen=True, slots=True)
class Rate:
    """Successes of counted episodes: the completed and the forfeited ones.

    Raises:
        ValueError: not 0 <= successes <= counted.
    """

    successes: int
    counted: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.counted:
            raise ValueError(f"{self.successes} successes of {self.counted} counted episodes is not a rate")

    @classmethod
    def of(cls, tally: EnvironmentTally) -> Rate:
        return cls(tally.successful, tally.completed + tally.forfeited)

    @property
    def value(self) -> Fraction:
        """Zero where no episode could be counted: nothing was shown, so nothing is claimed."""
        return Fraction(self.successes, self.counted) if self.counted else Fraction(0)


def tally(plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome]) -> Tallies:
    """How the planned episodes ended, by miner and environment; zeros where there is no outcome.

    Raises:
        KeyError: an outcome of a miner or an environment that is not in the plan.
    """
    counts = {(entry.uid, env): [0, 0, 0, 0] for entry in plan.roster for env in plan.environments}
    for outcome in outcomes:
        count = counts[outcome.uid, outcome.env]
        match outcome:
            case EpisodeCompleted():
                count[0] += 1
                count[1] += outcome.success
            case EpisodeForfeited():
                count[2] += 1
            case EpisodeAbandoned():
                count[3] += 1
    return {entry.uid: {env: _tally(*counts[entry.uid, env]) for env in plan.environments} for entry in plan.roster}


def _tally(completed: int, successful: int, forfeited: int, abandoned: int) -> EnvironmentTally:
    return EnvironmentTally(completed=completed, successful=successful, forfeited=forfeited, abandoned=abandoned)
