"""What miners do, and when they were evaluated -> rows."""

from __future__ import annotations

import re

from events.envelope import RecordedEvent
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.miners import tables
from projectors.projector import Projection


def _discovered(arrival: Arrival, changes: Changes) -> None:
    _committed(arrival.recorded(MinerDiscovered), changes)


def _commitment_changed(arrival: Arrival, changes: Changes) -> None:
    _committed(arrival.recorded(MinerCommitmentChanged), changes)


def _departed(arrival: Arrival, changes: Changes) -> None:
    _registration(arrival.recorded(MinerDeparted), changes, registered=False)


def _committed(
    recorded: RecordedEvent[MinerDiscovered] | RecordedEvent[MinerCommitmentChanged], changes: Changes
) -> None:
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


def _registration(
    recorded: RecordedEvent[MinerDiscovered] | RecordedEvent[MinerCommitmentChanged] | RecordedEvent[MinerDeparted],
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


def _evaluated(arrival: Arrival, changes: Changes) -> None:
    changes.replace(
        tables.evaluations,
        hotkey=arrival.data["hotkey"],
        last_evaluated=arrival.time,
        last_cycle=arrival.data["cycle"],
    )


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.(miner\.|cycle\.\d+\.episode\.)"),
    handlers={
        MinerDiscovered: _discovered,
        MinerCommitmentChanged: _commitment_changed,
        MinerDeparted: _departed,
        EpisodeCompleted: _evaluated,
        EpisodeForfeited: _evaluated,
    },
)
