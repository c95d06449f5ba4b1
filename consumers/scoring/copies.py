"""Whose policy is another's, as far as the events of a cycle show. Pure; nothing follows from it but that it is told.

By actions: two miners completed `EPISODES_MIN` or more of the same episodes, and did the same in all of them. By
files: a checked miner's file of weights is one that an earlier committer had, in a check of this or an earlier cycle;
small files are none (`events.verification.WeightFile`). Of all who have the same, each is told as a copy of the
earliest: who knows all pairs knows no more, and there are squares of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from events.copies import CopiesFound, Copy, CopyKind
from events.cycles import CyclePlanned
from events.episodes import EpisodeCompleted, EpisodeOutcome
from events.ids import CycleId, Hotkey, Uid
from events.verification import VerificationOutcome

EPISODES_MIN = 3
"""Two policies may do the same once or twice without being one."""

Actions = Mapping[Uid, Sequence[bytes | None]]
"""Of each miner the digest of its actions in each planned episode, in one order for all; None: not completed."""


class Holder(NamedTuple):
    """Who had a file, since its commitment at `block`, and was seen with it in a check of `cycle`."""

    block: int
    uid: Uid
    hotkey: Hotkey
    cycle: CycleId


def copies_found(
    plan: CyclePlanned, actions: Actions, checks: Iterable[VerificationOutcome], known: Mapping[str, Holder]
) -> CopiesFound | None:
    """All copies of a cycle. `known`: the earliest holder of a file in the cycles before, by the file's digest."""
    copies = [*_by_actions(plan, actions), *_by_files(plan, checks, known)]
    if not copies:
        return None
    copies.sort(key=lambda it: (it.uid, it.of_hotkey, it.kind))
    return CopiesFound(cycle=plan.cycle, copies=tuple(copies))


class Acting:
    """Notes what the miners of a plan did, one outcome after the other, and keeps no more of them."""

    def __init__(self, plan: CyclePlanned) -> None:
        self._places = {env: place * plan.episodes_per_environment for place, env in enumerate(plan.environments)}
        episodes = len(self._places) * plan.episodes_per_environment
        self._actions: dict[Uid, list[bytes | None]] = {entry.uid: [None] * episodes for entry in plan.roster}

    def add(self, outcome: EpisodeOutcome) -> None:
        if isinstance(outcome, EpisodeCompleted):
            digest = bytes.fromhex(outcome.evidence.action_digest)
            self._actions[outcome.uid][self._places[outcome.env] + outcome.index] = digest

    def actions(self) -> Actions:
        return self._actions


def actions_of(plan: CyclePlanned, outcomes: Iterable[EpisodeOutcome]) -> Actions:
    """What the miners of a plan did."""
    acting = Acting(plan)
    for outcome in outcomes:
        acting.add(outcome)
    return acting.actions()


def digests_of(check: VerificationOutcome) -> frozenset[str]:
    """Of the weight files of what was checked, as far as it was fetched."""
    return frozenset(file.sha256 for file in check.committed.files) if check.committed else frozenset()


def _by_actions(plan: CyclePlanned, actions: Actions) -> Iterator[Copy]:
    earliest_first = sorted(plan.roster, key=lambda it: (it.commitment.block, it.uid))
    for place, entry in enumerate(earliest_first):
        for earlier in earliest_first[:place]:
            if (same := _same(actions[entry.uid], actions[earlier.uid])) >= EPISODES_MIN:
                yield Copy(
                    uid=entry.uid,
                    hotkey=entry.hotkey,
                    of_hotkey=earlier.hotkey,
                    kind=CopyKind.ACTIONS,
                    files=(),
                    seen_in=plan.cycle,
                    episodes=same,
                )
                break


def _same(one: Sequence[bytes | None], other: Sequence[bytes | None]) -> int:
    """How many episodes both completed; 0 where they did another thing in any."""
    same = 0
    for mine, theirs in zip(one, other, strict=True):
        if mine is not None and theirs is not None:
            if mine != theirs:
                return 0
            same += 1
    return same


def _by_files(
    plan: CyclePlanned, checks: Iterable[VerificationOutcome], known: Mapping[str, Holder]
) -> Iterator[Copy]:
    blocks = {entry.uid: entry.commitment.block for entry in plan.roster}
    holders: defaultdict[str, list[Holder]] = defaultdict(list)
    for check in checks:
        for digest in digests_of(check):
            holders[digest].append(Holder(blocks[check.uid], check.uid, check.hotkey, plan.cycle))
    shared: defaultdict[tuple[Uid, Hotkey, Hotkey], dict[str, CycleId]] = defaultdict(dict)
    for digest, held in holders.items():
        first = min(*held, known.get(digest, held[0]))
        for holder in held:
            if holder.hotkey != first.hotkey:
                shared[holder.uid, holder.hotkey, first.hotkey][digest] = first.cycle
    for (uid, hotkey, of_hotkey), files in shared.items():
        yield Copy(
            uid=uid,
            hotkey=hotkey,
            of_hotkey=of_hotkey,
            kind=CopyKind.FILES,
            files=tuple(sorted(files)),
            seen_in=min(files.values()),
            episodes=0,
        )
