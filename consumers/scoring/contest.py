"""One miner among its rivals: which subsets it wins and why it loses the others, without enumerating them.

The same claim that was counted for its points, with names: bit e of a mask is environment e of the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from consumers.scoring.dominance import epsilon
from consumers.scoring.margins import Margin, RateGrid
from consumers.scoring.standings import Contender
from consumers.scoring.subsets import Claim, claims
from consumers.scoring.thresholds import gap
from events.ids import Uid
from events.rules import ScoringRules


@dataclass(frozen=True, slots=True)
class NoSuccess:
    """The miner's rate is zero on this environment of the subset."""

    env: int


@dataclass(frozen=True, slots=True)
class NotExceeding:
    """On this environment of the subset the miner does not exceed the threshold of an earlier miner."""

    env: int
    rival: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A later miner exceeds this miner's thresholds on all of the subset."""

    rival: int


Loss = NoSuccess | NotExceeding | Taken
"""Why a subset is lost. Each is reason enough alone."""


class Contest:
    """The miners of a cycle in the order of seniority, the earliest first; a miner is its place in it."""

    def __init__(self, contenders: Sequence[Contender], planned: int, rules: ScoringRules) -> None:
        """`contenders`: with one rate per environment, at least one each. `planned`: episodes per environment."""
        self.miners = sorted(contenders, key=lambda each: each.seniority)
        columns = [*zip(*(miner.rates for miner in self.miners), strict=True)]
        self.grids = [RateGrid.of(column) for column in columns]
        self.gaps = [[gap(rate, rules) for rate in column] for column in columns]
        self.epsilons = [epsilon(grid, planned, rules) for grid in self.grids]

    def place(self, uid: Uid) -> int:
        """Where the miner of this uid stands.

        Raises:
            StopIteration: it is none of this contest.
        """
        return next(place for place, miner in enumerate(self.miners) if miner.uid == uid)

    def exceeds(self, env: int, miner: int, rival: int) -> bool:
        """Whether the rate of `miner` exceeds the threshold of `rival`, exactly."""
        return self._passes(env, miner, rival, self.gaps[env][rival])

    def dominates(self, miner: int, rival: int) -> bool:
        """Whether `miner` is nowhere worse by more than epsilon, and somewhere better by more."""
        envs = range(len(self.grids))
        return not any(self.clearly_better(env, rival, miner) for env in envs) and any(
            self.clearly_better(env, miner, rival) for env in envs
        )

    def clearly_better(self, env: int, miner: int, rival: int) -> bool:
        """Whether the rate of `miner` is higher by more than epsilon."""
        return self._passes(env, miner, rival, self.epsilons[env])

    def _passes(self, env: int, miner: int, rival: int, margin: Margin) -> bool:
        grid = self.grids[env]
        return grid.marks[miner] - grid.marks[rival] > margin.reach(grid.units)


class Position:
    """What one miner wins and loses in a contest."""

    def __init__(self, contest: Contest, miner: int) -> None:
        self.contest, self.miner = contest, miner
        self.claim: Claim = next(islice(claims(contest.grids, contest.gaps), miner, None))
        self.environments = len(contest.grids)

    @property
    def earlier(self) -> range:
        return range(self.miner)

    @property
    def later(self) -> range:
        return range(self.miner + 1, len(self.contest.miners))

    @cached_property
    def taken(self) -> dict[int, int]:
        """For later miners, where within the open environments they exceed this one.

        Those who exceed it where another one does as well, and nowhere else, are left out: of equals the earliest
        stays. So a subset of the open environments is lost iff it lies within one of these masks.
        """
        masks = {rival: mask for rival in self.later if (mask := self._exceeded_by(rival))}
        kept: dict[int, int] = {}
        for rival, mask in sorted(masks.items(), key=lambda each: (-each[1].bit_count(), each[0])):
            if not any(mask & ~other == 0 for other in kept.values()):
                kept[rival] = mask
        return kept

    @property
    def alone(self) -> int:
        """The environments that it wins by themselves."""
        lost = 0
        for mask in self.taken.values():
            lost |= mask
        return self.claim.open & ~lost

    @property
    def wins_any(self) -> bool:
        """With a subset of the open environments all larger ones are won: if any is, the open ones together are."""
        return self.claim.open != 0 and self.claim.open not in self.claim.lost

    def loss(self, subset: int) -> Loss | None:
        """Why a subset, not empty, is lost; None: it is won."""
        if closed := subset & ~self.claim.open:
            return self._why_closed((closed & -closed).bit_length() - 1)
        return next((Taken(rival) for rival, mask in self.taken.items() if subset & ~mask == 0), None)

    def not_exceeded(self, env: int) -> list[int]:
        """The earlier miners whose threshold it does not exceed."""
        return [rival for rival in self.earlier if not self.contest.exceeds(env, self.miner, rival)]

    def exceeded_by(self, env: int) -> list[int]:
        """The later miners that exceed its threshold."""
        return [rival for rival in self.later if self.contest.exceeds(env, rival, self.miner)]

    def largest_won(self) -> Iterator[int]:
        """Won subsets, the largest first: all open environments, then all but one."""
        if not self.wins_any:
            return
        yield self.claim.open
        for env in reversed(range(self.environments)):
            rest = self.claim.open & ~(1 << env)
            if rest and rest != self.claim.open and self.loss(rest) is None:
                yield rest

    def smallest_lost(self) -> Iterator[int]:
        """Lost subsets: the single environments, then what each later miner takes as a whole, the smallest first."""
        yield from (1 << env for env in range(self.environments) if self.loss(1 << env) is not None)
        yield from sorted(
            {mask for mask in self.taken.values() if mask.bit_count() > 1}, key=lambda mask: (mask.bit_count(), mask)
        )

    def _exceeded_by(self, rival: int) -> int:
        return sum(
            1 << env
            for env in range(self.environments)
            if self.claim.open >> env & 1 and self.contest.exceeds(env, rival, self.miner)
        )

    def _why_closed(self, env: int) -> Loss:
        if self.contest.grids[env].marks[self.miner] == 0:
            return NoSuccess(env)
        grid, gaps = self.contest.grids[env], self.contest.gaps[env]
        highest = max(
            self.not_exceeded(env),
            key=lambda rival: (grid.marks[rival] + gaps[rival].reach(grid.units), -rival),
        )
        return NotExceeding(env, highest)
