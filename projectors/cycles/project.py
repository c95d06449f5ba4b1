"""Events of a cycle -> rows."""

from __future__ import annotations

import re
from typing import Any

from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed, CycleSeeded
from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited, EpisodeOutcome
from projectors.changes import Changes
from projectors.cycles import tables
from projectors.projector import Projection


def _planned(recorded: RecordedEvent[CyclePlanned], changes: Changes) -> None:
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


def _seeded(recorded: RecordedEvent[CycleSeeded], changes: Changes) -> None:
    seed = recorded.event
    changes.append(
        tables.seeds, cycle=seed.cycle, block=seed.block, block_hash=seed.block_hash, seeded_at=recorded.time
    )


def _sealed(recorded: RecordedEvent[CycleSealed], changes: Changes) -> None:
    _ended(recorded, changes, "sealed")


def _abandoned(recorded: RecordedEvent[CycleAbandoned], changes: Changes) -> None:
    _ended(recorded, changes, "abandoned")


def _ended(recorded: RecordedEvent[Any], changes: Changes, status: str) -> None:
    seal = recorded.event
    changes.append(tables.seals, cycle=seal.cycle, status=status, seal=seal.model_dump_json(), ended_at=recorded.time)


def _episode_completed(recorded: RecordedEvent[EpisodeCompleted], changes: Changes) -> None:
    changes.count(tables.progress, _key(recorded.event), completed=1, successful=int(recorded.event.success))


def _episode_forfeited(recorded: RecordedEvent[EpisodeForfeited], changes: Changes) -> None:
    changes.count(tables.progress, _key(recorded.event), forfeited=1)


def _episode_abandoned(recorded: RecordedEvent[EpisodeAbandoned], changes: Changes) -> None:
    changes.count(tables.progress, _key(recorded.event), abandoned=1)


def _attempt_failed(recorded: RecordedEvent[EpisodeAttemptFailed], changes: Changes) -> None:
    changes.count(tables.progress, _key(recorded.event), attempts_failed=1)


def _key(event: EpisodeOutcome | EpisodeAttemptFailed) -> dict[str, Any]:
    return {"cycle": event.cycle, "env": event.env}


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
)
