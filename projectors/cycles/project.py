"""Events of a cycle -> rows."""

from __future__ import annotations

import re
from typing import Any

from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.cycles import tables
from projectors.cycles.cut import cut_back
from projectors.episodes.project import PROJECTION as EPISODES
from projectors.projector import Projection

Ended = RecordedEvent[CycleSealed] | RecordedEvent[CycleAbandoned]


def _planned(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(CyclePlanned)
    plan = recorded.event
    changes.append(
        tables.plans,
        cycle=plan.cycle,
        block=plan.block,
        episodes_planned=plan.episodes_planned,
        deadline_s=plan.deadline_s,
        plan=plan.model_dump_json(),
        planned_at=recorded.time,
        sequence=recorded.sequence,
    )
    for env in plan.environments:
        changes.count(tables.progress, {"cycle": plan.cycle, "env": env})


def _seeded(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(CycleSeeded)
    seed = recorded.event
    changes.append(
        tables.seeds,
        cycle=seed.cycle,
        block=seed.block,
        block_hash=seed.block_hash,
        seeded_at=recorded.time,
        sequence=recorded.sequence,
    )


def _sealed(arrival: Arrival, changes: Changes) -> None:
    _ended(arrival.recorded(CycleSealed), changes, "sealed")


def _abandoned(arrival: Arrival, changes: Changes) -> None:
    _ended(arrival.recorded(CycleAbandoned), changes, "abandoned")


def _ended(recorded: Ended, changes: Changes, status: str) -> None:
    seal = recorded.event
    changes.append(
        tables.seals,
        cycle=seal.cycle,
        status=status,
        seal=seal.model_dump_json(),
        ended_at=recorded.time,
        sequence=recorded.sequence,
    )


def _episode_completed(arrival: Arrival, changes: Changes) -> None:
    successful = int(arrival.data["success"] is True)
    changes.count(tables.progress, _key(arrival), completed=1, successful=successful)


def _episode_forfeited(arrival: Arrival, changes: Changes) -> None:
    changes.count(tables.progress, _key(arrival), forfeited=1)


def _episode_abandoned(arrival: Arrival, changes: Changes) -> None:
    changes.count(tables.progress, _key(arrival), abandoned=1)


def _attempt_failed(arrival: Arrival, changes: Changes) -> None:
    changes.count(tables.progress, _key(arrival), attempts_failed=1)


def _key(arrival: Arrival) -> dict[str, Any]:
    return {"cycle": arrival.data["cycle"], "env": arrival.data["env"]}


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.cycle\."),
    handlers={
        CyclePlanned: _planned,
        CycleSeeded: _seeded,
        CycleSealed: _sealed,
        CycleAbandoned: _abandoned,
        EpisodeCompleted: _episode_completed,
        EpisodeForfeited: _episode_forfeited,
        EpisodeAbandoned: _episode_abandoned,
        EpisodeAttemptFailed: _attempt_failed,
    },
    cut_back=cut_back,
    cut_from=(EPISODES,),
)
