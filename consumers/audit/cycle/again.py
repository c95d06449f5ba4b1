"""Some episodes of a cycle, run again: the one check that needs recordings, and the simulator."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from consumers.audit.again import Simulators
from consumers.audit.case import NeverRan, NotYetPublic, TraceGone
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from consumers.audit.episode import audit as audit_case
from consumers.audit.sources import Source
from events.ids import EpisodeKey


async def check_episodes(
    fold: CycleFold, wanted: int | None, source: Source, simulators: Simulators, advance: Callable[[int, int], None]
) -> Verdict:
    """So many episodes (None: all), drawn at random, each run again. What has no recording is not judged.

    `advance` is told how many are done, and of how many.

    Raises:
        CannotAudit: the source does not answer.
        SimError: the second run failed for a reason that says nothing about the claim.
    """
    started = perf_counter()
    assert fold.episodes is not None
    keys = fold.episodes.drawn(fold.episodes.ran if wanted is None else wanted)
    gone: list[EpisodeKey] = []
    for done, key in enumerate(keys):
        advance(done, len(keys))
        try:
            difference = await _again(fold, key, source, simulators)
        except (TraceGone, NeverRan, NotYetPublic):
            gone.append(key)
            continue
        if difference is not None:
            return Verdict.of(Name.EPISODES, difference, "", perf_counter() - started)
    advance(len(keys), len(keys))
    return _agreed(keys, gone, perf_counter() - started)


async def _again(fold: CycleFold, key: EpisodeKey, source: Source, simulators: Simulators) -> Difference | None:
    assert fold.episodes is not None
    case = await source.case(key)
    if not fold.episodes.holds(key, case.claim):
        return Difference(f"episode {key.id}", "the outcome that was audited", "another one beside its recording")
    audit = await audit_case(case, simulators)
    return None if audit.agrees else Difference(f"episode {key.id}", "the same once more", audit.verdict)


def _agreed(keys: list[EpisodeKey], gone: list[EpisodeKey], seconds: float) -> Verdict:
    if not keys:
        return Verdict(Name.EPISODES, None, "none to be run again", seconds)
    ran = [key.id for key in keys if key not in set(gone)]
    named = ", ".join(ran[:5]) + (", ..." if len(ran) > 5 else "")
    lost = f"; {len(gone)} have no recording any more" if gone else ""
    if not ran:
        return Verdict(Name.EPISODES, None, f"none of {len(keys)} has a recording any more", seconds)
    return Verdict(Name.EPISODES, True, f"{len(ran)} drawn at random: {named}{lost}", seconds)
