"""What an audit of a cycle says: one verdict for each check, in the order in which somebody would ask.

CannotAudit (consumers/audit/case.py)
├── NoSuchCycle      the source holds nothing of it
├── NotEnded         it is still being run, or has no weights yet
├── NewerEvents      a newer program wrote some of its events
├── NotAnExport      what was read has neither events nor a trailer
└── NoSuchFile       the file cannot be read
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from consumers.audit.case import CannotAudit
from events.ids import CycleId


class NoSuchCycle(CannotAudit):
    """The source holds nothing of the cycle."""


class NotEnded(CannotAudit):
    """There is no result yet that could be checked."""


class NewerEvents(CannotAudit):
    """A newer program wrote some of the events; upgrade this one."""


class NotAnExport(CannotAudit):
    """Another kind of file, or a page of some other server."""


class NoSuchFile(CannotAudit):
    """The file cannot be read."""


class Name(StrEnum):
    """The checks, in their order."""

    EXPORT = "export"
    """The lines are those of which the trailer speaks: a transmission error, or a careless forger."""
    EVENTS = "events"
    """Each line is an event of this cycle, at the subject that it has to have; and where no root covers its bytes, it
    is spelled as the backend spells it."""
    PLAN = "plan"
    """Plan (of a chain: and metagraph), seed, one outcome for each planned episode and no other, end, weights: in
    this order. That the miners held their uids; the secret; and the rules, where any were announced."""
    ROOT = "root"
    """The end speaks of these events: their Merkle root and how many they are."""
    SIGNATURE = "signature"
    """The backend's key has signed the end and the weights."""
    CHECKS = "checks"
    """Who was spot-checked: whom the secret draws, with the samples that it draws, and the verdict that follows from
    the recorded actions. Only where the plan asks for checks, or there are some."""
    SCORES = "scores"
    """How many episodes each miner completed, won and lost; the epsilon of each environment."""
    FRONTIER = "frontier"
    POINTS = "points"
    WEIGHTS = "weights"
    U16 = "u16"
    SHADOW = "shadow"
    """What rules that were announced would have given. Only where there are some."""
    COPIES = "copies"
    """Whose actions and files are another's. Only where there are some."""
    ANCHOR = "anchor"
    """The chain has the history root that is signed of the end. Only where a chain was named."""
    EPISODES = "episodes"
    """Some episodes, run again."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two things first differ."""

    where: str
    expected: str
    """What follows from the events before."""
    found: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check came to. `same` is None where nothing is judged, and `detail` says why."""

    name: Name
    same: bool | None
    detail: str
    seconds: float
    difference: Difference | None = None

    @classmethod
    def of(cls, name: Name, difference: Difference | None, agreed: str, seconds: float) -> Verdict:
        """Agreement, told as `agreed`, unless there is a difference."""
        return cls(name, difference is None, str(difference) if difference else agreed, seconds, difference)


@dataclass(frozen=True, slots=True)
class CycleAudit:
    """All verdicts on one cycle."""

    cycle: CycleId
    events: int
    verdicts: tuple[Verdict, ...]

    @property
    def agrees(self) -> bool:
        return all(verdict.same is not False for verdict in self.verdicts)

    @property
    def first_difference(self) -> Verdict | None:
        """The earliest check that does not agree: what comes after it may only follow from it."""
        return next((verdict for verdict in self.verdicts if verdict.same is False), None)

    @property
    def verdict(self) -> str:
        first = self.first_difference
        return f"{first.name}: {first.detail}" if first else "identical"
