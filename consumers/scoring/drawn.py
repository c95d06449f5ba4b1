"""Who was to be checked in a cycle, and whether exactly these were. Pure: it takes the secret, which ends a cycle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from events.cycles import CyclePlanned, CycleSeeded
from events.draws import to_be_checked
from events.ids import Uid
from events.seeds import SeedMaterial
from events.verification import VerificationOutcome


class NotAsDrawn(NamedTuple):
    """Where the spot checks of a cycle are not those that follow from its plan and seed."""

    uid: Uid
    expected: str
    found: str


def material_of(seeded: CycleSeeded, secret: str) -> SeedMaterial:
    """`secret`: as it was revealed, in hex."""
    return SeedMaterial(bytes.fromhex(secret), bytes.fromhex(seeded.block_hash), seeded.cycle)


def not_as_drawn(
    plan: CyclePlanned, seeded: CycleSeeded | None, secret: str, checks: Iterable[VerificationOutcome]
) -> Iterator[NotAsDrawn]:
    """The differences. Each check is of a different miner."""
    roster = {entry.uid: entry for entry in plan.roster}
    for suspended in plan.verification.suspended if plan.verification else ():
        if suspended.uid not in roster or not 0 < suspended.failed_in < plan.cycle:
            named = f"uid {suspended.uid} suspended since cycle {suspended.failed_in}"
            yield NotAsDrawn(suspended.uid, "a miner of the plan, that failed in an earlier cycle", named)
    due, found = _due(plan, seeded, secret), {check.uid: check for check in checks}
    for uid in sorted(due ^ found.keys()):
        yield NotAsDrawn(uid, *(("a spot check", "none") if uid in due else ("no spot check", found[uid].type)))
    for uid, check in found.items():
        if (entry := roster.get(uid)) is not None:
            planned = (entry.hotkey, entry.commitment.repo, entry.commitment.revision)
            if planned != (said := (check.hotkey, check.repo, check.revision)):
                yield NotAsDrawn(uid, f"a check of {'@'.join(planned[1:])} of {planned[0]}", f"{said}")


def _due(plan: CyclePlanned, seeded: CycleSeeded | None, secret: str) -> frozenset[Uid]:
    """Without a seed no episode was run, and nobody is checked."""
    if seeded is None:
        return frozenset()
    return frozenset(it.uid for it in to_be_checked(plan, material_of(seeded, secret)))
