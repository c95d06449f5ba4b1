"""What miners do, and when they were evaluated -> rows."""

from __future__ import annotations

import re

from events.cycles import CyclePlanned
from events.envelope import RecordedEvent
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.miners import MinerCommitmentChanged, MinerDeparted, MinerDiscovered
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
        MinerDeparted: _departed,
        CyclePlanned: _planned,
        EpisodeCompleted: _evaluated,
        EpisodeForfeited: _evaluated,
    },
    cut_back=cut_back,
    cut_from=(EPISODES,),
)
