"""From the outcomes of a cycle to success rates: two counts each, never a rounded quotient."""

from __future__ import annotations

from collections.abc import Iterable
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


class Counting:
    """Counts how planned episodes end, one outcome after the other, and keeps none of them."""

    def __init__(self, plan: CyclePlanned) -> None:
        self._plan = plan
        self._counts = {(entry.uid, env): [0, 0, 0, 0] for entry in plan.roster for env in plan.environments}

    def add(self, outcome: EpisodeOutcome) -> None:
        """One more.

        Raises:
            KeyError: it is of a miner or an environment that is not in the plan.
        """
        count = self._counts[outcome.uid, outcome.env]
        match outcome:
            case EpisodeCompleted():
                count[0] += 1
                count[1] += outcome.success
            case EpisodeForfeited():
                count[2] += 1
            case EpisodeAbandoned():
                count[3] += 1

    def tallies(self) -> Tallies:
        """By miner and environment; zeros where there was no outcome."""
        plan, counts = self._plan, self._counts
        return {
            entry.uid: {env: _tally(*counts[entry.uid, env]) for env in plan.environments} for entry in plan.roster
        }


def tally(plan: CyclePlanned, outcomes: Iterable[EpisodeOutcome]) -> Tallies:
    """How the planned episodes ended.

    Raises:
        KeyError: as `Counting.add`.
    """
    counting = Counting(plan)
    for outcome in outcomes:
        counting.add(outcome)
    return counting.tallies()


def _tally(completed: int, successful: int, forfeited: int, abandoned: int) -> EnvironmentTally:
    return EnvironmentTally(completed=completed, successful=successful, forfeited=forfeited, abandoned=abandoned)
