"""Which miners a cycle still waits for. Pure: a fold of outcomes in the order of the log.

    WAITED_FOR ──n forfeits in row──▶ ASIDE ──all others are done──▶ PROBED ──its probe forfeited──▶ GIVEN_UP
        ▲                                │                              │
        └────── an episode completes ────┴──────────────────────────────┘

From WAITED_FOR it is straight to GIVEN_UP for a miner that was PROBED before: that was its last chance.

The conductor decides this, and workers know nothing of it: it folds the outcomes anyway, and what follows from the
log alone is the same in every process and in every life of one. So nothing depends on what is queued or running:

- Only policies' failures count. Our own (failed attempts, abandoned episodes) neither lengthen a row nor end it.
- An episode that was running when its miner was set aside ends as it ends. Completed, it brings the miner back, whose
  last chance is not used by that unless its probe was chosen already; forfeited, it lengthens the row, no more.
- The probe is the *last* of the miner's episodes without outcome in the order of the plan, not the next of the queue:
  that one may be running still, and its failure would say how the miner was then, not how it is at the end.
- GIVEN_UP is final. What completes after it counts, but brings nobody back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from events.episodes import EpisodeCompleted, EpisodeForfeited, EpisodeOutcome, ForfeitCode
from events.ids import EpisodeKey, Uid


class Standing(StrEnum):
    """How a cycle stands towards one of its miners; see the drawing above."""

    WAITED_FOR = "waited_for"
    ASIDE = "aside"
    """Nothing of it is queued until the others are done."""
    PROBED = "probed"
    """One of its episodes is queued, and decides about the rest."""
    GIVEN_UP = "given_up"
    """What it has left is forfeited without being run."""


@dataclass(slots=True)
class MinerChances:
    """One miner in one cycle."""

    missing: int
    """How many of its episodes have no outcome."""
    standing: Standing = Standing.WAITED_FOR
    in_row: int = 0
    """Forfeits since the last completed episode; as it was at the end for a miner that is given up."""
    last_forfeit: EpisodeForfeited | None = None
    """The newest of them."""
    probe: EpisodeKey | None = None
    """Set while it is PROBED."""
    chance_used: bool = False


class Chances:
    """All miners of a cycle, a few numbers for each."""

    def __init__(self, uids: Iterable[Uid], episodes_each: int, forfeits_in_row_max: int | None) -> None:
        """Without a limit every miner is waited for, always."""
        self._limit = forfeits_in_row_max
        self._miners = {uid: MinerChances(episodes_each) for uid in uids}
        self._waited_for = len(self._miners) * episodes_each
        """How many episodes of miners that are waited for have no outcome."""
        self._aside = 0
        """How many miners are set aside and not probed yet."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chances) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def of(self, uid: Uid) -> MinerChances:
        return self._miners[uid]

    def standings(self) -> dict[Uid, Standing]:
        """Of all miners that are not simply waited for."""
        return {uid: it.standing for uid, it in self._miners.items() if it.standing is not Standing.WAITED_FOR}

    def withheld(self) -> dict[Uid, EpisodeKey | None]:
        """The miners whose tasks do not belong on the queue, each with the one that does all the same: its probe."""
        return {uid: it.probe for uid, it in self._miners.items() if it.standing is not Standing.WAITED_FOR}

    def given_up(self) -> list[Uid]:
        """The miners whose remaining episodes are to be forfeited; none whose episodes all have outcomes."""
        return [uid for uid, it in self._miners.items() if it.standing is Standing.GIVEN_UP and it.missing]

    def wanted(self, key: EpisodeKey) -> bool:
        """Whether an episode without outcome belongs on the queue."""
        it = self._miners[key.uid]
        return it.standing is Standing.WAITED_FOR or it.probe == key

    def settle(self, event: EpisodeOutcome) -> None:
        """Takes in the next outcome of a planned episode."""
        it = self._miners[event.uid]
        it.missing -= 1
        self._waited_for -= it.standing is Standing.WAITED_FOR
        if it.standing is Standing.GIVEN_UP:
            return
        match event:
            case EpisodeCompleted():
                it.in_row, it.last_forfeit = 0, None
                self._stand(it, Standing.WAITED_FOR)
            case EpisodeForfeited() if event.code is not ForfeitCode.GIVEN_UP:
                it.in_row, it.last_forfeit = it.in_row + 1, event
                self._count(it, event.key)
        if it.probe == event.key:
            self._stand(it, Standing.ASIDE)  # it was ours to lose: another one takes its place

    def to_probe(self) -> list[Uid]:
        """The miners that are to be probed now; `probe` says by which episode."""
        if self._waited_for or not self._aside:
            return []
        return [uid for uid, it in self._miners.items() if it.standing is Standing.ASIDE and it.missing]

    def probe(self, key: EpisodeKey) -> None:
        """Makes this episode its miner's probe."""
        it = self._miners[key.uid]
        self._stand(it, Standing.PROBED)
        it.probe, it.chance_used = key, True

    def _count(self, it: MinerChances, key: EpisodeKey) -> None:
        if it.probe == key:
            self._stand(it, Standing.GIVEN_UP)
        elif it.standing is Standing.WAITED_FOR and self._limit is not None and it.in_row >= self._limit:
            self._stand(it, Standing.GIVEN_UP if it.chance_used else Standing.ASIDE)

    def _stand(self, it: MinerChances, standing: Standing) -> None:
        change = (standing is Standing.WAITED_FOR) - (it.standing is Standing.WAITED_FOR)
        self._waited_for += change * it.missing
        self._aside += (standing is Standing.ASIDE) - (it.standing is Standing.ASIDE)
        it.standing, it.probe = standing, None
