"""The checks of what a cycle's result stands on: the export, the plan's promises, and the root. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from time import perf_counter
from typing import cast

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.lines import NotATrailer
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded, OutcomeCounts
from events.export import Trailer
from events.metagraph import SEED_DELAY_BLOCKS, MetagraphRecorded, SlotsChecked
from events.rule_changes import in_force
from events.rules import rules_that_differ
from events.seeds import SeedMaterial, commitment_to
from events.signed import RootSigned, WeightsSigned

CLOCKS_APART_MAX = timedelta(minutes=10)
"""How far the clocks of two machines may be apart: an effect may seem that much older than its cause."""


def check_export(fold: CycleFold, trailer: Trailer | NotATrailer | None) -> Verdict:
    """Whether the lines are those of the trailer; None where they come from the log itself."""
    seconds = fold.seconds[Name.EXPORT]
    if trailer is None:
        return Verdict(Name.EXPORT, None, f"{fold.all.size} events, from the log itself", seconds)
    return Verdict.of(Name.EXPORT, _export_differs(fold, trailer), f"{fold.all.size} events, as sent", seconds)


def check_events(fold: CycleFold) -> Verdict:
    """What was found while the events were read."""
    agreed = f"all can be read, and are of cycle {fold.cycle}"
    return Verdict.of(Name.EVENTS, fold.differences.get(Name.EVENTS), agreed, fold.seconds[Name.EVENTS])


def check_plan(fold: CycleFold) -> Verdict:
    """What was found on the way; whether all is there; the secret, and the seeds that follow from it."""
    started = perf_counter()
    found = fold.differences.get(Name.PLAN) or next(_plan_differs(fold), None)
    agreed = "" if found else _plan_agrees(fold)
    return Verdict.of(Name.PLAN, found, agreed, fold.seconds[Name.PLAN] + perf_counter() - started)


def check_root(fold: CycleFold, trailer: Trailer | NotATrailer | None) -> Verdict:
    """Whether the end speaks of the events that were read."""
    started = perf_counter()
    placed = cast("Placed", fold.end)
    end = cast("CycleSealed | CycleAbandoned", placed.recorded.event)
    found = _counts_differ(placed, end, fold)
    if isinstance(end, CycleSealed):
        found = _tree_differs(placed, end, fold, trailer) or found
        agreed = f"{end.merkle_root[:12]}… over {end.tree_size} events"
    else:
        agreed = f"an abandoned cycle has none; {_counted(end.outcomes)}"
    return Verdict.of(Name.ROOT, found, agreed, fold.seconds[Name.ROOT] + perf_counter() - started)


def _export_differs(fold: CycleFold, trailer: Trailer | NotATrailer) -> Difference | None:
    where, size, root = "the trailer", fold.all.size, fold.all.root().hex()
    match trailer:
        case NotATrailer(found):
            return Difference("the last line", "a trailer", found)
        case Trailer(count=count) if count != size:
            return Difference(where, f"{size} events, as there are", str(count))
        case Trailer(root=told) if told != root:
            return Difference(where, f"the root {root}, as of these lines", told)
        case Trailer(first_sequence=first, last_sequence=last) if size and (first < 1 or last - first + 1 < size):
            return Difference(where, f"room for {size} events", f"sequences {first} to {last}")
        case _:
            return None


def _plan_differs(fold: CycleFold) -> Iterator[Difference]:
    plan, seed, end = fold.one.get(CyclePlanned), fold.one.get(CycleSeeded), fold.end
    if plan is None or fold.episodes is None:
        yield Difference("the plan", f"the plan of cycle {fold.cycle}", "none")
        return
    if (missing := fold.episodes.first_missing()) is not None:
        yield Difference("the outcomes", f"one of episode {missing.id}", "none")
    planned = cast("CyclePlanned", plan.recorded.event)
    yield from _rules_differ(fold, planned, plan)
    yield from _metagraph_differs(fold, planned, plan)
    yield from _slots_differ(fold, planned)
    if seed is not None:
        yield from _seed_differs(planned, seed)
    if end is not None:
        yield from _end_differs(planned, end)
        yield from _lineage_differs(fold)


def _rules_differ(fold: CycleFold, plan: CyclePlanned, placed: Placed) -> Iterator[Difference]:
    """Without an announcement the operator's own rules count, whichever they are."""
    announced = in_force(plan.cycle, (it for _, it in fold.rules.values()))
    if announced is not None and (differ := rules_that_differ(announced.rules, plan.rules)):
        first = differ[0]
        expected = f"{first.value}, announced to count from cycle {announced.cycle}"
        yield Difference(f"{placed.line.where}, rule {first.name}", expected, first.other)


def _metagraph_differs(fold: CycleFold, plan: CyclePlanned, placed: Placed) -> Iterator[Difference]:
    """Who is evaluated held its uid at the block to which the plan is pinned."""
    recorded = fold.one.get(MetagraphRecorded)
    if plan.chain is None or recorded is None:
        if (plan.chain is None) is not (recorded is None):
            where = placed.line.where if recorded is None else recorded.line.where
            expected, found = ("a", "none") if recorded is None else ("no", "one")
            yield Difference(
                where, f"{expected} metagraph, as the plan names {'a' if plan.chain else 'no'} chain", found
            )
        return
    graph, where = cast("MetagraphRecorded", recorded.recorded.event), recorded.line.where
    pinned = f"netuid {plan.chain.netuid} at block {plan.block}, {plan.chain.block_hash}, as the plan"
    if (graph.netuid, graph.block, graph.block_hash) != (plan.chain.netuid, plan.block, plan.chain.block_hash):
        yield Difference(where, pinned, f"netuid {graph.netuid} at block {graph.block}, {graph.block_hash}")
    holders = graph.holders()
    for entry in plan.roster:
        if holders.get(entry.uid) != entry.hotkey:
            found = f"{holders.get(entry.uid, 'nobody')} in the metagraph"
            yield Difference(f"{placed.line.where}, uid {entry.uid}", f"{entry.hotkey}, as in the plan", found)


def _slots_differ(fold: CycleFold, plan: CyclePlanned) -> Iterator[Difference]:
    """Who lost its uid was planned, and was looked for on the plan's subnet, later. A check is no duty."""
    placed = fold.one.get(SlotsChecked)
    if placed is None:
        return
    slots, where = cast("SlotsChecked", placed.recorded.event), placed.line.where
    if plan.chain is None:
        yield Difference(where, "no slots checked, as the plan names no chain", "one")
        return
    if slots.netuid != plan.chain.netuid:
        yield Difference(where, f"netuid {plan.chain.netuid}, as the plan", f"netuid {slots.netuid}")
    if slots.block <= plan.block:
        yield Difference(where, f"a block after the plan's {plan.block}", f"block {slots.block}")
    roster = {entry.uid for entry in plan.roster}
    for uid in slots.moved:
        if uid not in roster:
            yield Difference(f"{where}, moved uid {uid}", "one of the plan's", "none of them")


def _seed_differs(plan: CyclePlanned, placed: Placed) -> Iterator[Difference]:
    seed = cast("CycleSeeded", placed.recorded.event)
    if plan.chain is not None and seed.block != plan.block + SEED_DELAY_BLOCKS:
        expected = f"the hash of block {plan.block + SEED_DELAY_BLOCKS}, {SEED_DELAY_BLOCKS} after the plan's"
        yield Difference(placed.line.where, expected, f"block {seed.block}")
    elif seed.block <= plan.block:
        yield Difference(
            placed.line.where, f"the hash of a block after the plan's {plan.block}", f"block {seed.block}"
        )


def _end_differs(plan: CyclePlanned, placed: Placed) -> Iterator[Difference]:
    end = cast("CycleSealed | CycleAbandoned", placed.recorded.event)
    revealed = commitment_to(bytes.fromhex(end.secret))
    if revealed != plan.secret_commitment:
        expected = f"the secret of the plan's commitment {plan.secret_commitment}"
        yield Difference(placed.line.where, expected, f"one with the commitment {revealed}")
    counted = end.outcomes.completed + end.outcomes.forfeited
    enough = counted >= plan.rules.coverage_min * plan.episodes_planned
    if enough is not isinstance(end, CycleSealed):
        expected = f"{'a seal' if enough else 'none'}: {counted} of {plan.episodes_planned} episodes count"
        yield Difference(placed.line.where, expected, end.type)


def _lineage_differs(fold: CycleFold) -> Iterator[Difference]:
    """What came of the end follows from it, and stands in this order."""
    end, weights = fold.end, fold.weights
    root, signed = fold.one.get(RootSigned), fold.one.get(WeightsSigned)
    for placed, cause in ((weights, end), (root, end), (signed, weights)):
        if placed is not None and cause is not None:
            found, because = placed.recorded.envelope, cause.recorded.envelope
            if (found.causation, found.correlation) != (because.id, because.correlation):
                expected = f"it caused by {because.id} of the story {because.correlation}"
                yield Difference(placed.line.where, expected, f"by {found.causation} of {found.correlation}")
            if found.time < because.time - CLOCKS_APART_MAX:
                expected = f"it after its cause, of {because.time.isoformat()}"
                yield Difference(placed.line.where, expected, f"it at {found.time.isoformat()}")
    for later, earlier in ((root, weights), (signed, root)):
        if later is not None and earlier is not None and later.line.number < earlier.line.number:
            kinds = earlier.recorded.event.type, later.recorded.event.type
            yield Difference(later.line.where, f"{kinds[0]} before {kinds[1]}", "it before that")


def _plan_agrees(fold: CycleFold) -> str:
    plan = cast("CyclePlanned", fold.one[CyclePlanned].recorded.event)
    each = f"each of {plan.episodes_planned} planned episodes has one outcome"
    if (seed := fold.one.get(CycleSeeded)) is None or fold.end is None:
        return f"{each}; there are no seeds"
    end = cast("CycleSealed | CycleAbandoned", fold.end.recorded.event)
    block_hash = cast("CycleSeeded", seed.recorded.event).block_hash
    material = SeedMaterial(bytes.fromhex(end.secret), bytes.fromhex(block_hash), fold.cycle)
    seeds = {material.seed(env, index) for env in plan.environments for index in range(plan.episodes_per_environment)}
    return f"{each}; the secret is the one committed to, {len(seeds)} seeds follow from it"


def _counts_differ(placed: Placed, end: CycleSealed | CycleAbandoned, fold: CycleFold) -> Difference | None:
    if fold.episodes is None or (counts := fold.episodes.counts()) == end.outcomes:
        return None
    return Difference(placed.line.where, _counted(counts), _counted(end.outcomes))


def _tree_differs(
    placed: Placed, end: CycleSealed, fold: CycleFold, trailer: Trailer | NotATrailer | None
) -> Difference | None:
    where = placed.line.where
    if (leaf := fold.leaves.get(end.tree_size)) is None:
        sizes = " or ".join(map(str, fold.leaves or [fold.tree.size]))
        return Difference(where, f"a tree of {sizes} events", f"one of {end.tree_size}")
    if leaf.root != end.merkle_root:
        return Difference(where, f"the root {leaf.root}", end.merkle_root)
    if (slots := fold.one.get(SlotsChecked)) is not None and slots.line.number > leaf.line.number:
        return Difference(where, "the slots that were checked under the root", "them left out")
    if any(check.line.number > leaf.line.number for check in fold.checks.values()):
        return Difference(where, "the spot checks under the root", "some left out")
    plan = fold.one[CyclePlanned].line
    found = f"{end.first_sequence} to {end.last_sequence}"
    if plan.sequence is not None:
        if (plan.sequence, leaf.line.sequence) != (end.first_sequence, end.last_sequence):
            return Difference(where, f"sequences {plan.sequence} to {leaf.line.sequence}", found)
        return None
    if end.last_sequence - end.first_sequence < leaf.line.number - plan.number:
        return Difference(where, f"at least {leaf.line.number - plan.number + 1} sequences", found)
    if isinstance(trailer, Trailer):
        return _outside(trailer, end, where, before=plan.number - 1, after=fold.all.size - leaf.line.number)
    return None


def _outside(trailer: Trailer, end: CycleSealed, where: str, *, before: int, after: int) -> Difference | None:
    """Lines have no sequences of their own, but the export's first and last do, and bound those of the seal."""
    earliest, latest = trailer.first_sequence + before, trailer.last_sequence - after
    is_first = before > 0 or end.first_sequence == earliest
    if end.first_sequence >= earliest and end.last_sequence <= latest and is_first:
        return None
    found = f"{end.first_sequence} to {end.last_sequence}"
    return Difference(where, f"sequences within {earliest} to {latest}, as the trailer has it", found)


def _counted(counts: OutcomeCounts) -> str:
    return f"{counts.completed} completed, {counts.forfeited} forfeited, {counts.abandoned} abandoned"
