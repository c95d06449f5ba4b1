"""The checks of what follows from the outcomes: scores, frontier, points, weights, u16. Pure.

They are computed from the tallies by the very functions that computed them first, a step at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from consumers.scoring import weighing
from consumers.scoring.rates import Tallies
from consumers.scoring.standings import epsilons_of, frontier_of, points_of, weights_of
from consumers.scoring.unpaid import NOBODY, Unpaid
from consumers.scoring.weighing import text, weigh, why_withheld
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.ids import EnvId
from events.weights import MinerStanding, WeightsComputed, WeightsWithheld

T = TypeVar("T")
Row = tuple[str, object, object]
"""What it is, expected and found."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A cycle with its result, to be checked."""

    plan: CyclePlanned
    tallies: Tallies
    end: CycleSealed | CycleAbandoned
    weights: WeightsComputed | WeightsWithheld
    where: str
    """Of the weights."""
    unpaid: Unpaid = NOBODY


def check_results(scored: Scored) -> Iterator[Verdict]:
    """The five verdicts, each as soon as it is known."""
    if isinstance(scored.end, CycleAbandoned) or not scored.plan.roster:
        yield from _check_withheld(scored)
        return
    plan, rules = scored.plan, scored.plan.rules
    contenders, started = weighing.contenders(plan, scored.tallies), perf_counter()
    try:
        epsilons = epsilons_of(contenders, plan.episodes_per_environment, rules)
    except ValueError as error:
        difference = Difference(scored.where, "a cycle that can be scored", str(error))
        yield Verdict.of(Name.SCORES, difference, "", perf_counter() - started)
        return
    told = dict(zip(plan.environments, (text(each.decimal()) for each in epsilons), strict=True))
    counted = f"{len(plan.roster)} miners on {len(plan.environments)} environments, and the epsilons"
    yield _verdict(Name.SCORES, scored, _scores(scored, told), counted, started)
    standings = scored.weights.standings

    on_frontier, started = _timed(lambda: frontier_of(contenders, epsilons))
    rows = _column(scored, "on_frontier", on_frontier, [it.on_frontier for it in standings])
    yield _verdict(Name.FRONTIER, scored, rows, f"{sum(on_frontier)} of {len(on_frontier)} miners", started)

    earned, started = _timed(lambda: points_of(contenders, rules))
    rows = _column(scored, "points", map(str, earned), [it.points for it in standings])
    yield _verdict(Name.POINTS, scored, rows, f"{sum(map(bool, earned))} miners have some", started)

    (weights, u16), started = _timed(lambda: weights_of(contenders, earned, rules, scored.unpaid))
    agreed = (
        f"{sum(map(bool, weights))} of {len(standings)} above zero"
        if weights
        else f"withheld: {why_withheld(plan, earned, scored.unpaid).detail}"
    )
    rows = _weights(scored, [*map(text, weights)], earned)
    yield _verdict(Name.WEIGHTS, scored, rows, agreed, started)
    started = perf_counter()
    yield _verdict(Name.U16, scored, _u16(scored, u16), f"they add up to {sum(u16)}", started)


def _check_withheld(scored: Scored) -> Iterator[Verdict]:
    started = perf_counter()
    expected, found = weigh(scored.plan, {}, scored.end), scored.weights
    rows: Iterator[Row] = iter([("type", expected.type, found.type)])
    if isinstance(found, type(expected)):
        rows = ((name, getattr(expected, name), getattr(found, name)) for name in type(expected).model_fields)
    yield _verdict(Name.SCORES, scored, rows, "none: the cycle gives no weights", started)
    for name in (Name.FRONTIER, Name.POINTS, Name.WEIGHTS, Name.U16):
        yield Verdict(name, None, "there are none", 0.0)


def _timed(step: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and when it began."""
    started = perf_counter()
    return step(), started


def _verdict(name: Name, scored: Scored, rows: Iterable[Row], agreed: str, started: float) -> Verdict:
    different = ((what, expected, found) for what, expected, found in rows if expected != found)
    difference = next(
        (
            Difference(f"{scored.where}, {what}", _shown(expected), _shown(found))
            for what, expected, found in different
        ),
        None,
    )
    return Verdict.of(name, difference, agreed, perf_counter() - started)


def _shown(value: object) -> str:
    return str(value)[:300]


def _scores(scored: Scored, epsilons: dict[EnvId, str]) -> Iterator[Row]:
    plan, weights = scored.plan, scored.weights
    yield "block", plan.block, weights.block
    if isinstance(weights, WeightsComputed) and isinstance(scored.end, CycleSealed):
        yield "merkle_root", scored.end.merkle_root, weights.merkle_root
    yield "miners", [(it.uid, it.hotkey) for it in plan.roster], [(it.uid, it.hotkey) for it in weights.standings]
    for entry, standing in zip(plan.roster, weights.standings, strict=False):
        yield _of(standing, "environments"), [*plan.environments], [*standing.tallies]
        for env in plan.environments:
            yield _of(standing, env), scored.tallies[entry.uid][env], standing.tallies.get(env)
    yield "environments with an epsilon", [*plan.environments], [*weights.epsilons]
    for env in plan.environments:
        yield f"epsilon of {env}", epsilons[env], weights.epsilons.get(env)


def _column(scored: Scored, name: str, expected: Iterable[T], found: Iterable[T]) -> Iterator[Row]:
    for standing, should, does in zip(scored.weights.standings, expected, found, strict=False):
        yield _of(standing, name), should, does


def _weights(scored: Scored, expected: list[str], earned: list[int]) -> Iterator[Row]:
    result = scored.weights
    kind = WeightsComputed if expected else WeightsWithheld
    yield "type", kind.type, result.type
    if isinstance(result, WeightsWithheld):
        why = why_withheld(scored.plan, earned, scored.unpaid)
        yield "reason", why.reason, result.reason
        yield "detail", why.detail, result.detail
    uids, unpaid = [entry.uid for entry in scored.plan.roster], scored.unpaid
    for name, who in (("moved", unpaid.moved), ("unverified", unpaid.unverified)):
        yield from _column(scored, name, [uid in who for uid in uids], [getattr(it, name) for it in result.standings])
    zeros = ["0"] * len(scored.plan.roster)
    yield from _column(scored, "weight", expected or zeros, [it.weight for it in result.standings])


def _u16(scored: Scored, expected: list[int]) -> Iterator[Row]:
    found = scored.weights.weights_u16 if isinstance(scored.weights, WeightsComputed) else None
    uids = [entry.uid for entry in scored.plan.roster] if expected else []
    yield "uids", uids, [*found.uids] if found else []
    values = [*found.values] if found else []
    for uid, should, does in zip(uids, expected, values, strict=False):
        yield f"u16 of uid {uid}", should, does
    yield "u16", expected, values


def _of(standing: MinerStanding, what: str) -> str:
    return f"{what} of uid {standing.uid}"
