"""All checks of a cycle, in order, over what one pass has gathered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from consumers.audit.cycle.copies import check_copies
from consumers.audit.cycle.evidence import check_events, check_export, check_plan, check_root
from consumers.audit.cycle.fold import CycleFold, Placed
from consumers.audit.cycle.lines import Export, NotATrailer
from consumers.audit.cycle.results import Scored, check_results
from consumers.audit.cycle.shadows import check_shadows
from consumers.audit.cycle.signatures import check_signature
from consumers.audit.cycle.spot_checks import check_spot_checks
from consumers.audit.cycle.verdicts import (
    CycleAudit,
    Difference,
    Name,
    NewerEvents,
    NoSuchCycle,
    NotAnExport,
    NotEnded,
    Verdict,
)
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.export import Trailer
from events.ids import CycleId, Hotkey
from events.signed import RootSigned, WeightsSigned
from events.weights import WeightsComputed, WeightsWithheld


def audit_export(cycle: CycleId, lines: Iterable[bytes], key: Hotkey | None = None) -> CycleAudit:
    """The audit of an exported cycle, without running episodes again.

    Raises:
        CannotAudit: there is no result to audit.
    """
    fold, export = CycleFold(cycle), Export()
    for batch in export.batches(lines):
        fold.add(batch)
    return CycleAudit(cycle, fold.all.size, tuple(conclude(fold, export.trailer, key)))


def conclude(fold: CycleFold, trailer: Trailer | NotATrailer | None, key: Hotkey | None) -> Iterator[Verdict]:
    """The verdicts after the last event, each as soon as it is known. The log itself has no `trailer`.

    Raises:
        CannotAudit: there is no result to audit.
    """
    _check_source(fold, trailer)
    export = check_export(fold, trailer)
    if export.same is not False:
        _check_auditable(fold)
    yield export
    yield check_events(fold)
    yield check_plan(fold)
    if fold.end is not None:
        yield check_root(fold, trailer)
        yield check_signature(fold, key)
        yield from _results(fold, fold.end)


def _check_source(fold: CycleFold, trailer: Trailer | NotATrailer | None) -> None:
    """A wrong file or address is no forgery: nothing of the cycle is there at all."""
    if fold.one or fold.newer:
        return
    if fold.foreign is not None:
        raise NoSuchCycle(
            f"these are events of cycle {fold.foreign}, and none of cycle {fold.cycle}: name the cycle that is meant,"
            f" or get the events of cycle {fold.cycle}"
        )
    if isinstance(trailer, NotATrailer) and not fold.keys:
        raise NotAnExport(
            f"expected an export of cycle {fold.cycle}, found {fold.all.size} lines without an event or a trailer;"
            f" get it from GET /v1/cycles/{fold.cycle}/events"
        )


def _check_auditable(fold: CycleFold) -> None:
    if fold.newer is not None:
        raise NewerEvents(f"{fold.newer}; or somebody has altered it")
    if fold.differences:
        return
    if not fold.one:
        raise NoSuchCycle(f"there is nothing of cycle {fold.cycle} here; see `kinitro cycle list`")
    if fold.weights is None and not fold.one.keys() & {RootSigned, WeightsSigned}:
        what = "has not ended" if fold.end is None else "has no weights yet"
        raise NotEnded(f"cycle {fold.cycle} {what}; see `kinitro cycle show {fold.cycle}`")


def _results(fold: CycleFold, end: Placed) -> Iterator[Verdict]:
    if fold.episodes is not None:
        plan = cast("CyclePlanned", fold.one[CyclePlanned].recorded.event)
        if (checks := check_spot_checks(fold, plan)) is not None:
            yield checks
    if (weights := fold.weights) is None:
        expected = f"the weights of cycle {fold.cycle}, or why there are none"
        yield Verdict.of(Name.SCORES, Difference("the weights", expected, "none"), "", 0.0)
    elif fold.episodes is not None:
        scored = Scored(
            plan=cast("CyclePlanned", fold.one[CyclePlanned].recorded.event),
            tallies=fold.episodes.tallies(),
            end=cast("CycleSealed | CycleAbandoned", end.recorded.event),
            weights=cast("WeightsComputed | WeightsWithheld", weights.recorded.event),
            where=weights.line.where,
            unpaid=fold.unpaid,
        )
        yield from check_results(scored)
        if (shadows := check_shadows(fold, scored.plan, scored.tallies)) is not None:
            yield shadows
        if (copies := check_copies(fold, scored.plan)) is not None:
            yield copies
