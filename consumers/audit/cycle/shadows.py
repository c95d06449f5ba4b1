"""The check of what announced rules would have given: computed again by the function that computed it first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import cast

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.lineage import misplaced
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from consumers.scoring.rates import Tallies
from consumers.scoring.shadow import shadow
from consumers.scoring.unpaid import Unpaid
from events.cycles import CyclePlanned
from events.rule_changes import RulesAnnounced, ShadowScored, pending


def check_shadows(fold: CycleFold, plan: CyclePlanned, tallies: Tallies) -> Verdict | None:
    """Whether the cycle was scored under all rules to come, and what came of it; None where there are none."""
    started = perf_counter()
    announced = pending(plan.cycle, [it for _, it in fold.rules.values()])
    if not announced and not fold.shadows:
        return None
    found = next(_differences(fold, plan, tallies, announced), None)
    named = ", ".join(f"cycle {it.cycle}" for it in announced)
    agreed = f"what the rules from {named} would have given, as announced; nobody signs announcements"
    return Verdict.of(Name.SHADOW, found, agreed, perf_counter() - started)


def _differences(
    fold: CycleFold, plan: CyclePlanned, tallies: Tallies, announced: list[RulesAnnounced]
) -> Iterator[Difference]:
    for cycle, placed in fold.shadows.items():
        if cycle not in {it.cycle for it in announced}:
            yield Difference(
                placed.line.where, f"no rules for cycle {cycle} that were announced before the plan", "them"
            )
        yield from misplaced(fold, placed)
    for rules in announced:
        if (there := fold.shadows.get(rules.cycle)) is None:
            yield Difference("the shadows", f"the cycle under the rules for cycle {rules.cycle}", "none")
        else:
            yield from _compared(there, rules, plan, tallies, fold.unpaid)


def _compared(
    placed: Placed, rules: RulesAnnounced, plan: CyclePlanned, tallies: Tallies, unpaid: Unpaid
) -> Iterator[Difference]:
    where = placed.line.where
    try:
        expected = shadow(plan, tallies, rules, unpaid)
    except ValueError as error:
        yield Difference(where, "a cycle that can be scored", str(error))
        return
    found = cast("ShadowScored", placed.recorded.event)
    for should, does in zip(expected.standings, found.standings, strict=False):
        for name in type(should).model_fields:
            if getattr(should, name) != getattr(does, name):
                what = f"{where}, {name} of uid {should.uid}"
                yield Difference(what, _shown(getattr(should, name)), _shown(getattr(does, name)))
    for name in ShadowScored.model_fields:
        if getattr(expected, name) != getattr(found, name):
            yield Difference(f"{where}, {name}", _shown(getattr(expected, name)), _shown(getattr(found, name)))


def _shown(value: object) -> str:
    return str(value)[:300]
