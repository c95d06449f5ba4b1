"""What miners do, and when they were evaluated -> rows."""

from __future__ import annotations

import re

from events.envelope import RecordedEvent
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from projectors.changes import Changes
from projectors.miners import tables
from projectors.projector import Projection


def _committed(recorded: RecordedEvent[MinerDiscovered | MinerCommitmentChanged], changes: Changes) -> None:
    _registration(recorded, changes, registered=True)
    commitment = recorded.event.commitment
    changes.replace(
        tables.commitments,
        hotkey=recorded.event.hotkey,
        repo=commitment.repo,
        revision=commitment.revision,
        endpoint=commitment.endpoint,
        block=commitment.block,
    )


def _departed(recorded: RecordedEvent[MinerDeparted], changes: Changes) -> None:
    _registration(recorded, changes, registered=False)


def _registration(
    recorded: RecordedEvent[MinerDiscovered | MinerCommitmentChanged | MinerDeparted],
    changes: Changes,
    *,
    registered: bool,
) -> None:
    changes.replace(
        tables.registrations,
        hotkey=recorded.event.hotkey,
        uid=recorded.event.uid,
        registered=registered,
        block=recorded.event.block,
        since=recorded.time,
        sequence=recorded.sequence,
    )


def _evaluated(recorded: RecordedEvent[EpisodeCompleted | EpisodeForfeited], changes: Changes) -> None:
    changes.replace(
        tables.evaluations,
        hotkey=recorded.event.hotkey,
        last_evaluated=recorded.time,
        last_cycle=recorded.event.cycle,
    )


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.(miner\.|cycle\.\d+\.episode\.)"),
    handlers={
        MinerDiscovered: _committed,
        MinerCommitmentChanged: _committed,
        MinerDeparted: _departed,
        EpisodeCompleted: _evaluated,
        EpisodeForfeited: _evaluated,
    },
)
