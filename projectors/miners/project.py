"""What miners do, and when they were evaluated -> rows."""

from __future__ import annotations

import re

from events.cycles import CyclePlanned
from events.envelope import RecordedEvent
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.miners import MinerCommitmentChanged, MinerCommitmentRejected, MinerDeparted, MinerDiscovered
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.episodes.project import PROJECTION as EPISODES
from projectors.miners import tables
from projectors.miners.cut import cut_back
from projectors.projector import Projection


def _discovered(arrival: Arrival, changes: Changes) -> None:
    _committed(arrival.recorded(MinerDiscovered), changes, "discovered")


def _commitment_changed(arrival: Arrival, changes: Changes) -> None:
    _committed(arrival.recorded(MinerCommitmentChanged), changes, "commitment_changed")


def _commitment_rejected(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(MinerCommitmentRejected)
    event = recorded.event
    _registration(recorded, changes, registered=False)
    changes.replace(
        tables.commitments,
        hotkey=event.hotkey,
        repo=None,
        revision=None,
        endpoint=None,
        block=event.committed_block,
    )
    changes.append(
        tables.announcements,
        hotkey=event.hotkey,
        sequence=recorded.sequence,
        kind="commitment_rejected",
        uid=event.uid,
        block=event.block,
        time=recorded.time,
        commitment_block=event.committed_block,
        code=event.code.value,
        detail=event.detail,
    )


def _departed(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(MinerDeparted)
    _registration(recorded, changes, registered=False)
    changes.append(
        tables.announcements,
        hotkey=recorded.event.hotkey,
        sequence=recorded.sequence,
        kind="departed",
        uid=recorded.event.uid,
        block=recorded.event.block,
        time=recorded.time,
    )


def _committed(
    recorded: RecordedEvent[MinerDiscovered] | RecordedEvent[MinerCommitmentChanged], changes: Changes, kind: str
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
    changes.append(
        tables.announcements,
        hotkey=recorded.event.hotkey,
        sequence=recorded.sequence,
        kind=kind,
        uid=recorded.event.uid,
        block=recorded.event.block,
        time=recorded.time,
        repo=commitment.repo,
        revision=commitment.revision,
        endpoint=commitment.endpoint,
        commitment_block=commitment.block,
    )


def _registration(
    recorded: RecordedEvent[MinerDiscovered]
    | RecordedEvent[MinerCommitmentChanged]
    | RecordedEvent[MinerCommitmentRejected]
    | RecordedEvent[MinerDeparted],
    changes: Changes,
    *,
    registered: bool,
) -> None:
    event = recorded.event
    rejected = event if isinstance(event, MinerCommitmentRejected) else None
    changes.replace(
        tables.registrations,
        hotkey=event.hotkey,
        uid=event.uid,
        registered=registered,
        block=event.block,
        since=recorded.time,
        sequence=recorded.sequence,
        code=rejected and rejected.code.value,
        detail=rejected and rejected.detail,
    )


def _planned(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(CyclePlanned)
    plan = recorded.event
    for entry in plan.roster:
        changes.append(
            tables.rosters,
            hotkey=entry.hotkey,
            cycle=plan.cycle,
            uid=entry.uid,
            block=plan.block,
            time=recorded.time,
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
    subjects=re.compile(r"evt\.(miner\.|cycle\.\d+\.(plan$|episode\.))"),
    handlers={
        MinerDiscovered: _discovered,
        MinerCommitmentChanged: _commitment_changed,
        MinerCommitmentRejected: _commitment_rejected,
        MinerDeparted: _departed,
        CyclePlanned: _planned,
        EpisodeCompleted: _evaluated,
        EpisodeForfeited: _evaluated,
    },
    cut_back=cut_back,
    cut_from=(EPISODES,),
)
