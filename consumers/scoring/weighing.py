"""From a cycle's evidence to its weights, as an event. Pure: an auditor calls the same function."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from consumers.scoring.rates import Rate, Tallies, tally
from consumers.scoring.standings import Contender, Standings, score
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.episodes import EpisodeOutcome
from events.ids import EnvId
from events.weights import MinerStanding, WeightsComputed, WeightsU16, WeightsWithheld, WithheldReason

NO_POINTS = "no miner won any subset of environments"


def weigh(
    plan: CyclePlanned, outcomes: Sequence[EpisodeOutcome], ended: CycleSealed | CycleAbandoned
) -> WeightsComputed | WeightsWithheld:
    """The weights that follow from one outcome for each planned episode, or why there are none."""
    if isinstance(ended, CycleAbandoned):
        return _withheld(plan, WithheldReason.CYCLE_ABANDONED, f"the cycle was abandoned: {ended.detail}"[:500])
    if not plan.roster:
        return _withheld(plan, WithheldReason.NO_MINERS, "the plan has no miners")
    tallies = tally(plan, outcomes)
    result = score(contenders(plan, tallies), plan.episodes_per_environment, plan.rules)
    epsilons = {env: text(epsilon.decimal()) for env, epsilon in zip(plan.environments, result.epsilons, strict=True)}
    standings = _standings(plan, tallies, result)
    if not result.weights:
        return _withheld(plan, WithheldReason.NO_POINTS, NO_POINTS, epsilons, standings)
    return WeightsComputed(
        cycle=plan.cycle,
        block=plan.block,
        merkle_root=ended.merkle_root,
        epsilons=epsilons,
        standings=standings,
        weights_u16=WeightsU16(uids=tuple(entry.uid for entry in plan.roster), values=tuple(result.weights_u16)),
    )


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


def _standings(plan: CyclePlanned, tallies: Tallies, result: Standings) -> tuple[MinerStanding, ...]:
    weights = result.weights or [Decimal(0)] * len(plan.roster)
    return tuple(
        MinerStanding(
            uid=entry.uid,
            hotkey=entry.hotkey,
            tallies=tallies[entry.uid],
            on_frontier=on_frontier,
            points=str(points),
            weight=text(weight),
        )
        for entry, on_frontier, points, weight in zip(
            plan.roster, result.on_frontier, result.points, weights, strict=True
        )
    )


def _withheld(
    plan: CyclePlanned,
    reason: WithheldReason,
    detail: str,
    epsilons: dict[EnvId, str] | None = None,
    standings: tuple[MinerStanding, ...] = (),
) -> WeightsWithheld:
    return WeightsWithheld(
        cycle=plan.cycle,
        block=plan.block,
        reason=reason,
        detail=detail,
        epsilons=epsilons or {},
        standings=standings,
    )


def text(number: Decimal) -> str:
    """A number as it stands in events, without an exponent: 0.000000000000000001, not 1E-18."""
    return f"{number:f}"
