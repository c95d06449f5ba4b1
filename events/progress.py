"""How far a cycle is, folded from its events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from events import subjects
from events.codec import decode
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from events.event import Event
from events.ids import CycleId, EnvId, Uid
from events.log import EventLog


@dataclass
class Cell:
    """One miner on one environment, so far."""

    completed: int = 0
    successful: int = 0
    forfeited: int = 0
    abandoned: int = 0

    @property
    def done(self) -> int:
        return self.completed + self.forfeited + self.abandoned


@dataclass
class CycleProgress:
    """A running cycle, folded from its events."""

    plan: CyclePlanned | None = None
    cells: dict[tuple[Uid, EnvId], Cell] = field(default_factory=dict)
    done: int = 0
    attempts_failed: int = 0
    ended: CycleSealed | CycleAbandoned | None = None

    def apply(self, event: Event) -> None:
        match event:
            case CyclePlanned():
                self.plan = event
            case EpisodeCompleted() | EpisodeForfeited() | EpisodeAbandoned():
                self._count(event)
            case EpisodeAttemptFailed():
                self.attempts_failed += 1
            case CycleSealed() | CycleAbandoned():
                self.ended = event
            case _:
                pass

    def _count(self, event: EpisodeOutcome) -> None:
        cell = self.cells.setdefault((event.uid, event.env), Cell())
        self.done += 1
        match event:
            case EpisodeCompleted():
                cell.completed += 1
                cell.successful += event.success
            case EpisodeForfeited():
                cell.forfeited += 1
            case EpisodeAbandoned():
                cell.abandoned += 1


async def watch(log: EventLog, cycle: CycleId) -> AsyncIterator[CycleProgress]:
    """The cycle's progress after each batch of its events, from its plan to its end."""
    progress = CycleProgress()
    async for batch in log.follow(subject=subjects.cycle(cycle)):
        for stored in batch:
            progress.apply(decode(stored).event)
        yield progress
        if progress.ended is not None:
            return
