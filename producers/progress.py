"""What the scheduler tells while it works: small values for a command line to draw or a log to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from events.cycles import OutcomeCounts
from events.ids import CycleId, Uid


@dataclass(frozen=True, slots=True)
class MinersChanged:
    """Discovery appended facts: how many of each."""

    discovered: int
    changed: int
    departed: int
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class DiscoveryTrouble:
    """The source of miners has no good snapshot; what the log knows stays."""

    reason: str


@dataclass(frozen=True, slots=True)
class CyclePending:
    """The next cycle begins at this moment."""

    cycle: CycleId
    begins: datetime


@dataclass(frozen=True, slots=True)
class CycleIdle:
    """The next cycle cannot begin yet."""

    cycle: CycleId
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The cycle has a plan: ours, another scheduler's, or that of an earlier life."""

    cycle: CycleId
    miners: int
    environments: int
    episodes: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """These miners are not planned: their endpoints are sealed for a key that this process does not have."""

    cycle: CycleId
    uids: tuple[Uid, ...]


@dataclass(frozen=True, slots=True)
class RulesOverruled:
    """Announced rules count in the cycle, and not those of the scheduler's own settings: where they differ."""

    cycle: CycleId
    differ: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    """The cycle has its seeds."""

    cycle: CycleId
    block: int


@dataclass(frozen=True, slots=True)
class Queued:
    """So many more tasks were put on the work queue, which did not hold them."""

    cycle: CycleId
    tasks: int


@dataclass(frozen=True, slots=True)
class Advanced:
    """Of `planned` episodes, `done` have an outcome."""

    cycle: CycleId
    done: int
    planned: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """So many episodes of the miner in a row were forfeited: the rest waits for a probe at the end."""

    cycle: CycleId
    uid: Uid
    in_row: int


@dataclass(frozen=True, slots=True)
class Probed:
    """All the others are done, and one episode of a miner set aside decides about the rest."""

    cycle: CycleId
    uid: Uid


@dataclass(frozen=True, slots=True)
class TakenBack:
    """A miner set aside has completed an episode: the rest is run after all."""

    cycle: CycleId
    uid: Uid


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The miner has used its last chance: so many of its episodes are forfeited without being run."""

    cycle: CycleId
    uid: Uid
    in_row: int
    episodes: int


@dataclass(frozen=True, slots=True)
class Checking:
    """All episodes have ended, and so many miners are checked, until then at most.

    Which ones is told with their outcomes only: nobody is to know that it is being checked.
    """

    cycle: CycleId
    miners: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Checked:
    """A check has ended; the reason is `too_late` where nobody had made it in time."""

    cycle: CycleId
    uid: Uid
    verdict: str
    reason: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The cycle is sealed, or abandoned for the stated reason."""

    cycle: CycleId
    outcomes: OutcomeCounts
    abandoned: str | None


@dataclass(frozen=True, slots=True)
class Retrying:
    """The log or the queue did not answer, or somebody else was first; the same step is taken again."""

    reason: str


Progress = (
    MinersChanged
    | DiscoveryTrouble
    | CyclePending
    | CycleIdle
    | Planned
    | LeftOut
    | RulesOverruled
    | Seeded
    | Queued
    | Advanced
    | SetAside
    | Probed
    | TakenBack
    | GivenUp
    | Checking
    | Checked
    | Ended
    | Retrying
)
Report = Callable[[Progress], None]
