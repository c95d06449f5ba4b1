"""What announced rules would have given in a cycle in which they do not count yet. Pure: an auditor calls it too."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.scoring.rates import Tallies
from consumers.scoring.unpaid import NOBODY, Unpaid
from consumers.scoring.weighing import weigh_under
from events.cycles import CyclePlanned
from events.rule_changes import RulesAnnounced, ShadowScored, pending


def shadows(
    plan: CyclePlanned, tallies: Tallies, announced: Iterable[RulesAnnounced], unpaid: Unpaid = NOBODY
) -> list[ShadowScored]:
    """The cycle under the rules of each announcement that does not count in it, the next one first.

    `announced` are those in the log before the plan: what comes later is for the next cycle.
    """
    return [shadow(plan, tallies, rules, unpaid) for rules in pending(plan.cycle, [*announced])]


def shadow(plan: CyclePlanned, tallies: Tallies, announced: RulesAnnounced, unpaid: Unpaid = NOBODY) -> ShadowScored:
    """The cycle under the rules of one."""
    weighed = weigh_under(announced.rules, plan, tallies, unpaid)
    return ShadowScored(
        cycle=plan.cycle,
        rules_from_cycle=announced.cycle,
        epsilons=weighed.epsilons,
        standings=weighed.standings,
        weights_u16=weighed.weights_u16,
        withheld=weighed.withheld,
    )
