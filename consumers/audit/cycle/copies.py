"""The check of the copies that were told: found again by the function that found them first. Pure.

What earlier cycles showed is not in these events: that somebody had a file in one of them is taken as it is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import cast

import orjson

from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.lineage import misplaced
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from consumers.scoring.copies import Holder, copies_found
from events.copies import CopiesFound, Copy, CopyKind
from events.cycles import CyclePlanned, CycleSealed
from events.ids import Uid
from events.verification import VerificationOutcome

TOLD_SINCE = 5
"""Version of the plan: earlier programs told of no copies."""


def check_copies(fold: CycleFold, plan: CyclePlanned) -> Verdict | None:
    """Whether the copies are those that the outcomes and the spot checks show; None where there are none."""
    started = perf_counter()
    placed = fold.one.get(CopiesFound)
    told = cast("CopiesFound", placed.recorded.event).copies if placed else ()
    expected = _expected(fold, plan, told)
    if placed is None and (not expected or _version(fold) < TOLD_SINCE):
        return None
    difference = next(_differences(fold, placed, told, expected), None)
    earlier = sorted({it.seen_in for it in told if it.seen_in != plan.cycle})
    elsewhere = f"; what was seen in cycle {', '.join(map(str, earlier))} is not in these events" if earlier else ""
    agreed = f"{len(told)} told, as actions and files have it{elsewhere}"
    return Verdict.of(Name.COPIES, difference, agreed, perf_counter() - started)


def _expected(fold: CycleFold, plan: CyclePlanned, told: tuple[Copy, ...]) -> tuple[Copy, ...]:
    """Taking what is told of earlier cycles as true: whoever is named there committed before all others."""
    if fold.episodes is None or CycleSealed not in fold.one:
        return ()  # of what no root covers nothing is told
    known = {
        digest: Holder(-1, Uid(0), it.of_hotkey, it.seen_in)
        for it in told
        if it.kind is CopyKind.FILES and 0 < it.seen_in < plan.cycle
        for digest in it.files
    }
    roster = {entry.uid for entry in plan.roster}
    checks = [cast("VerificationOutcome", placed.recorded.event) for placed in fold.checks.values()]
    actions = {uid: fold.episodes.actions(uid) for uid in roster}
    found = copies_found(plan, actions, [it for it in checks if it.uid in roster], known)
    return found.copies if found else ()


def _version(fold: CycleFold) -> int:
    """In which the plan was written."""
    return int(orjson.loads(fold.one[CyclePlanned].line.body)["schemaversion"])


def _differences(
    fold: CycleFold, placed: Placed | None, told: tuple[Copy, ...], expected: tuple[Copy, ...]
) -> Iterator[Difference]:
    where = placed.line.where if placed else "the copies"
    for number in range(max(len(told), len(expected))):
        should, does = (some[number] if number < len(some) else None for some in (expected, told))
        if should != does:
            yield Difference(f"{where}, copy {number}", _shown(should), _shown(does))
    if placed is not None:
        yield from misplaced(fold, placed)


def _shown(copy: Copy | None) -> str:
    if copy is None:
        return "none"
    shared = f"{copy.episodes} episodes" if copy.kind is CopyKind.ACTIONS else f"{len(copy.files)} files"
    return (
        f"uid {copy.uid} has {shared} of {copy.of_hotkey}, seen in cycle {copy.seen_in} ({copy.hotkey}, {copy.kind})"
    )
