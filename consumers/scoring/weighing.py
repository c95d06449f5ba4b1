"""From a cycle's evidence to its weights, as an event. Pure: an auditor calls the same function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from consumers.scoring.rates import Rate, Tallies
from consumers.scoring.standings import Contender, Standings, score
from consumers.scoring.unpaid import NOBODY, Unpaid
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.ids import EnvId
from events.rule_changes import Withheld
from events.rules import ScoringRules
from events.weights import MinerStanding, WeightsComputed, WeightsU16, WeightsWithheld, WithheldReason

NO_POINTS = "no miner won any subset of environments"
SLOTS_MOVED = "no miner that won a subset of environments still held its uid at the end of the cycle"
UNVERIFIED = "each miner that won a subset of environments failed a spot check and passed none since, or lost its uid"


def weigh(
    plan: CyclePlanned,
    tallies: Tallies,
    ended: CycleSealed | CycleAbandoned,
    unpaid: Unpaid = NOBODY,
) -> WeightsComputed | WeightsWithheld:
    """The weights that follow from how a cycle's planned episodes ended, or why there are none.

    The `unpaid` keep their results, and get no weight.
    """
    if isinstance(ended, CycleAbandoned):
        detail = f"the cycle was abandoned: {ended.detail}"[:500]
        weighed = Weighed.none(WithheldReason.CYCLE_ABANDONED, detail)
    else:
        weighed = _weighed(plan, tallies, plan.rules, unpaid)
    if weighed.weights_u16 is None or isinstance(ended, CycleAbandoned):
        return _withheld(plan, weighed)
    return WeightsComputed(
        cycle=plan.cycle,
        block=plan.block,
        merkle_root=ended.merkle_root,
        epsilons=weighed.epsilons,
        standings=weighed.standings,
        weights_u16=weighed.weights_u16,
    )


@dataclass(frozen=True, slots=True)
class Weighed:
    """What rules make of a cycle: `weights_u16`, or why they are `withheld`."""

    epsilons: dict[EnvId, str]
    standings: tuple[MinerStanding, ...]
    weights_u16: WeightsU16 | None
    withheld: Withheld | None

    @classmethod
    def none(cls, reason: WithheldReason, detail: str) -> Weighed:
        """Neither weights nor standings."""
        return cls({}, (), None, Withheld(reason=reason, detail=detail))


def weigh_under(rules: ScoringRules, plan: CyclePlanned, tallies: Tallies, unpaid: Unpaid = NOBODY) -> Weighed:
    """What other rules than the plan's would have made of how its episodes ended."""
    counted = sum(it.completed + it.forfeited for of_miner in tallies.values() for it in of_miner.values())
    if counted < rules.coverage_min * plan.episodes_planned:
        detail = (
            f"{counted} of {plan.episodes_planned} episodes could be counted, the rules ask for {rules.coverage_min}"
        )
        return Weighed.none(WithheldReason.CYCLE_ABANDONED, detail)
    return _weighed(plan, tallies, rules, unpaid)


def _weighed(plan: CyclePlanned, tallies: Tallies, rules: ScoringRules, unpaid: Unpaid) -> Weighed:
    if not plan.roster:
        return Weighed.none(WithheldReason.NO_MINERS, "the plan has no miners")
    result = score(contenders(plan, tallies), plan.episodes_per_environment, rules, unpaid)
    epsilons = {env: text(epsilon.decimal()) for env, epsilon in zip(plan.environments, result.epsilons, strict=True)}
    standings = _standings(plan, tallies, result, unpaid)
    if not result.weights:
        return Weighed(epsilons, standings, None, why_withheld(plan, result.points, unpaid))
    uids = tuple(entry.uid for entry in plan.roster)
    return Weighed(epsilons, standings, WeightsU16(uids=uids, values=tuple(result.weights_u16)), None)


def why_withheld(plan: CyclePlanned, points: Sequence[int], unpaid: Unpaid) -> Withheld:
    """Why a cycle with miners gives no weights: nobody has points, or nobody that has any may be paid.

    `points`: in the order of the roster.
    """
    ahead = [entry.uid for entry, earned in zip(plan.roster, points, strict=True) if earned]
    if not ahead:
        return Withheld(reason=WithheldReason.NO_POINTS, detail=NO_POINTS)
    if unpaid.unverified.isdisjoint(ahead):
        return Withheld(reason=WithheldReason.SLOTS_MOVED, detail=SLOTS_MOVED)
    return Withheld(reason=WithheldReason.UNVERIFIED, detail=UNVERIFIED)


def contenders(plan: CyclePlanned, tallies: Tallies) -> list[Contender]:
    """The miners of a plan as scoring sees them, in the order of the roster."""
    return [
        Contender(
            entry.uid,
            entry.commitment.block,
            tuple(Rate.of(tallies[entry.uid][env]) for env in plan.environments),
        )
        for entry in plan.roster
    ]


def _standings(plan: CyclePlanned, tallies: Tallies, result: Standings, unpaid: Unpaid) -> tuple[MinerStanding, ...]:
    weights = result.weights or [Decimal(0)] * len(plan.roster)
    return tuple(
        MinerStanding(
            uid=entry.uid,
            hotkey=entry.hotkey,
            tallies=tallies[entry.uid],
            on_frontier=on_frontier,
            points=str(points),
            weight=text(weight),
            moved=entry.uid in unpaid.moved,
            unverified=entry.uid in unpaid.unverified,
        )
        for entry, on_frontier, points, weight in zip(
            plan.roster, result.on_frontier, result.points, weights, strict=True
        )
    )


def _withheld(plan: CyclePlanned, weighed: Weighed) -> WeightsWithheld:
    assert weighed.withheld is not None, "without weights there is a reason"
    return WeightsWithheld(
        cycle=plan.cycle,
        block=plan.block,
        reason=weighed.withheld.reason,
        detail=weighed.withheld.detail,
        epsilons=weighed.epsilons,
        standings=weighed.standings,
    )


def text(number: Decimal) -> str:
    """A number as it stands in events, without an exponent: 0.000000000000000001, not 1E-18."""
    return f"{number:f}"
