"""A past cycle under other rules, beside what was published. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from consumers.scoring.rates import Tallies
from consumers.scoring.unpaid import NOBODY, Unpaid
from consumers.scoring.weighing import Weighed, weigh_under
from events.cycles import CyclePlanned
from events.ids import CycleId, Hotkey, Uid
from events.rule_changes import Withheld
from events.rules import RuleDiffers, ScoringRules, rules_that_differ
from events.weights import MinerStanding, WeightsComputed, WeightsWithheld


@dataclass(frozen=True, slots=True)
class Result:
    """What a miner has. The rank counts who has more weight: equals share one."""

    rank: int
    points: int
    weight: Decimal
    u16: int


@dataclass(frozen=True, slots=True)
class MinerRescored:
    """A miner under both; None where the cycle gives no standings."""

    uid: Uid
    hotkey: Hotkey
    published: Result | None
    other: Result | None


@dataclass(frozen=True, slots=True)
class Rescored:
    """A cycle under both. Why weights are withheld is said of each; None where there are some."""

    cycle: CycleId
    rules: tuple[RuleDiffers, ...]
    published_withheld: Withheld | None
    other_withheld: Withheld | None
    miners: tuple[MinerRescored, ...]
    """The best of those published first."""


def rescore(
    plan: CyclePlanned,
    tallies: Tallies,
    published: WeightsComputed | WeightsWithheld,
    rules: ScoringRules,
    unpaid: Unpaid = NOBODY,
) -> Rescored:
    """What `rules` make of how the cycle's episodes ended, beside what its own have made of it.

    The `unpaid` get no weight under either.
    """
    was, other = _as_weighed(published), weigh_under(rules, plan, tallies, unpaid)
    then, now = _results(was), _results(other)
    miners = [MinerRescored(it.uid, it.hotkey, then.get(it.uid), now.get(it.uid)) for it in plan.roster]
    return Rescored(
        cycle=plan.cycle,
        rules=rules_that_differ(plan.rules, rules),
        published_withheld=was.withheld,
        other_withheld=other.withheld,
        miners=tuple(sorted(miners, key=lambda it: (_place(it.published), _place(it.other), it.uid))),
    )


def _as_weighed(published: WeightsComputed | WeightsWithheld) -> Weighed:
    if isinstance(published, WeightsComputed):
        return Weighed(published.epsilons, published.standings, published.weights_u16, None)
    withheld = Withheld(reason=published.reason, detail=published.detail)
    return Weighed(published.epsilons, published.standings, None, withheld)


def _results(weighed: Weighed) -> dict[Uid, Result]:
    whole = weighed.weights_u16
    u16 = dict(zip(whole.uids, whole.values, strict=True)) if whole else {}
    return {
        it.uid: Result(_rank(it, weighed.standings), int(it.points), Decimal(it.weight), u16.get(it.uid, 0))
        for it in weighed.standings
    }


def _rank(standing: MinerStanding, standings: Sequence[MinerStanding]) -> int:
    return 1 + sum(Decimal(it.weight) > Decimal(standing.weight) for it in standings)


def _place(result: Result | None) -> tuple[int, int]:
    """Without weights points say who is before whom, and without those nothing does."""
    return (result.rank, -result.points) if result else (0, 0)
