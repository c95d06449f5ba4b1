"""Why a miner has its weight: from weight to points, to subsets won and lost, to rates and thresholds, to episodes.

Computed from a cycle's plan and its published standings by the code that scored it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from functools import cached_property
from itertools import islice
from math import comb

from consumers.scoring.contest import Contest, Loss, NoSuccess, NotExceeding, Position, Taken
from consumers.scoring.explanation_parts import (
    Deciding,
    Dominator,
    EnvironmentPart,
    Explanation,
    Frontier,
    LossShown,
    Miner,
    Points,
    Proof,
    RateShown,
    Rival,
    Rivals,
    SizeRow,
    Subsets,
    TakenShown,
    Weight,
)
from consumers.scoring.hitting_sets import hitting_sets_in_short
from consumers.scoring.rates import Rate
from consumers.scoring.subsets import worth
from consumers.scoring.weighing import contenders
from events.cycles import CyclePlanned
from events.ids import CycleId, EnvId, Uid
from events.rules import PointScheme
from events.weights import MinerStanding

LISTED_MAX = 10
"""Rivals and examples named at each place; how many rivals there are is always told."""

FORMULAS = {
    PointScheme.LINEAR: "n points for each subset of n environments that is won",
    PointScheme.EXPONENTIAL: "2^(n-1) points for each subset of n environments that is won",
    PointScheme.EQUAL: "1 point for each subset of environments that is won",
}

_CONTEXT = Context(prec=50, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Scored:
    """A cycle with weights: what was planned, what was published, and where it stands."""

    plan: CyclePlanned
    standings: Sequence[MinerStanding]
    u16: Mapping[Uid, int]
    proof: Proof


def explain(scored: Scored, uid: Uid) -> Explanation:
    """Why the miner with this uid has its weight. Takes a second or two at most.

    Raises:
        KeyError: the plan has no miner with this uid.
    """
    return _Explaining(scored, uid).explanation()


class _Explaining:
    """One miner's explanation, part by part."""

    def __init__(self, scored: Scored, uid: Uid) -> None:
        self.plan, self.scored = scored.plan, scored
        self.standings = {standing.uid: standing for standing in scored.standings}
        self.standing = self.standings[uid]
        tallies = {standing.uid: standing.tallies for standing in scored.standings}
        self.contest = Contest(contenders(self.plan, tallies), self.plan.episodes_per_environment, self.plan.rules)
        self.position = Position(self.contest, self.contest.place(uid))

    def explanation(self) -> Explanation:
        return Explanation(
            cycle=self.plan.cycle,
            block=self.plan.block,
            miner=self._miner(self.position.miner),
            weight=self._weight(),
            points=self._points(),
            subsets=self._subsets(),
            environments=tuple(self._environment(env) for env in range(self.position.environments)),
            frontier=self._frontier(),
            proof=self.scored.proof,
        )

    def _weight(self) -> Weight:
        return Weight(
            weight=self.standing.weight,
            u16=self.scored.u16[self.standing.uid],
            rank=1 + sum(Decimal(it.weight) > Decimal(self.standing.weight) for it in self.standings.values()),
            miners=len(self.standings),
            temperature=f"{self.plan.rules.temperature:f}",
            moved=self.standing.moved,
            unverified_since=self._unverified_since(),
        )

    def _unverified_since(self) -> CycleId | None:
        """Who is not suspended by the plan has failed in this very cycle."""
        if not self.standing.unverified:
            return None
        suspended = self.plan.verification.suspended if self.plan.verification else ()
        failed_in = {it.uid: it.failed_in for it in suspended}
        return failed_in.get(self.standing.uid, self.plan.cycle)

    def _points(self) -> Points:
        best = max(self.contest.miners, key=lambda it: (int(self.standings[it.uid].points), -it.uid))
        return Points(
            published=self.standing.points,
            recomputed=None if self._by_size is None else str(sum(int(row.points) for row in self._by_size)),
            formula=FORMULAS[self.plan.rules.points],
            most=self.standings[best.uid].points,
            most_of=self._miner(self.contest.place(best.uid)),
        )

    @cached_property
    def _by_size(self) -> tuple[SizeRow, ...] | None:
        claim = self.position.claim
        won = [0]
        if self.position.wins_any:
            counted = hitting_sets_in_short(claim.open, [claim.open & ~lost for lost in claim.lost])
            if counted is None:
                return None
            won = counted
        environments = self.position.environments
        return tuple(
            self._size_row(size, comb(environments, size), won[size] if size < len(won) else 0)
            for size in range(1, environments + 1)
        )

    def _size_row(self, size: int, subsets: int, won: int) -> SizeRow:
        each = worth(size, self.plan.rules.points)
        return SizeRow(size=size, subsets=str(subsets), won=str(won), points_each=str(each), points=str(won * each))

    def _subsets(self) -> Subsets:
        position = self.position
        return Subsets(
            wins_within=self._envs(position.claim.open),
            taken=tuple(
                TakenShown(by=self._miner(rival), environments=self._envs(mask))
                for rival, mask in position.taken.items()
            ),
            by_size=self._by_size,
            largest_won=tuple(self._envs(mask) for mask in islice(position.largest_won(), LISTED_MAX)),
            smallest_lost=tuple(self._loss(mask) for mask in islice(position.smallest_lost(), LISTED_MAX)),
        )

    def _environment(self, env: int) -> EnvironmentPart:
        position, me = self.position, self.position.miner
        return EnvironmentPart(
            env=self.plan.environments[env],
            episodes=self.standing.tallies[self.plan.environments[env]],
            rate=self._rate(env, me),
            gap=_shown(self.contest.gaps[env][me].decimal()),
            threshold=_shown(self._threshold(env, me)),
            epsilon=_shown(self.contest.epsilons[env].decimal()),
            open=bool(position.claim.open >> env & 1),
            wins_alone=bool(position.alone >> env & 1),
            not_exceeded=self._rivals(env, position.not_exceeded(env)),
            exceeded_by=self._rivals(env, position.exceeded_by(env)),
        )

    def _rivals(self, env: int, places: Sequence[int]) -> Rivals:
        foremost = sorted(places, key=lambda rival: (-self._distance(env, rival), rival))
        listed = tuple(self._rival(env, rival) for rival in foremost[:LISTED_MAX])
        return Rivals(total=len(places), listed=listed)

    def _rival(self, env: int, rival: int) -> Rival:
        earlier = min(rival, self.position.miner)
        return Rival(
            miner=self._miner(rival),
            rate=self._rate(env, rival),
            threshold=_shown(self._threshold(env, earlier)),
            by=_shown(self._distance(env, rival)),
        )

    def _distance(self, env: int, rival: int) -> Decimal:
        """Between the later rate and the earlier threshold."""
        earlier, later = sorted((rival, self.position.miner))
        return abs(_decimal(self._value(env, later)) - self._threshold(env, earlier))

    def _threshold(self, env: int, miner: int) -> Decimal:
        reached = _CONTEXT.add(_decimal(self._value(env, miner)), self.contest.gaps[env][miner].decimal())
        return min(reached, Decimal(1))

    def _value(self, env: int, miner: int) -> Fraction:
        return self.contest.miners[miner].rates[env].value

    def _rate(self, env: int, miner: int) -> RateShown:
        rate: Rate = self.contest.miners[miner].rates[env]
        return RateShown(successes=rate.successes, counted=rate.counted, rate=str(rate.value))

    def _loss(self, subset: int) -> LossShown:
        loss = self.position.loss(subset)
        assert loss is not None, "only lost subsets are shown as such"
        on = [Deciding(env=self.plan.environments[env], rival=rival) for env, rival in self._deciding(loss, subset)]
        reason = {
            NoSuccess: "no success",
            NotExceeding: "not above an earlier miner",
            Taken: "taken by a later miner",
        }[type(loss)]
        by = None if isinstance(loss, NoSuccess) else self._miner(loss.rival)
        return LossShown(environments=self._envs(subset), reason=reason, by=by, on=tuple(on))

    def _deciding(self, loss: Loss, subset: int) -> list[tuple[int, Rival | None]]:
        match loss:
            case NoSuccess(env):
                return [(env, None)]
            case NotExceeding(env, rival):
                return [(env, self._rival(env, rival))]
            case Taken(rival):
                return [
                    (env, self._rival(env, rival)) for env in range(self.position.environments) if subset >> env & 1
                ]

    def _frontier(self) -> Frontier:
        me, contest = self.position.miner, self.contest
        rivals = [it for it in range(len(contest.miners)) if it != me and contest.dominates(it, me)]
        listed = tuple(self._dominator(rival) for rival in rivals[:LISTED_MAX])
        return Frontier(published=self.standing.on_frontier, dominated_by_total=len(rivals), dominated_by=listed)

    def _dominator(self, rival: int) -> Dominator:
        me = self.position.miner
        better = {
            self.plan.environments[env]: str(self._value(env, rival) - self._value(env, me))
            for env in range(self.position.environments)
            if self.contest.clearly_better(env, rival, me)
        }
        return Dominator(miner=self._miner(rival), better_on=better)

    def _miner(self, place: int) -> Miner:
        miner = self.contest.miners[place]
        return Miner(uid=miner.uid, hotkey=self.standings[miner.uid].hotkey, committed_block=miner.committed_block)

    def _envs(self, mask: int) -> tuple[EnvId, ...]:
        return tuple(name for env, name in enumerate(self.plan.environments) if mask >> env & 1)


def _decimal(value: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))


def _shown(number: Decimal) -> str:
    """To 18 places, without an exponent."""
    places = _CONTEXT.quantize(number, Decimal(1).scaleb(-18))
    return f"{places.normalize(_CONTEXT):f}"
