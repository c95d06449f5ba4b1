"""Outcomes and failed attempts of episodes -> rows."""

from __future__ import annotations

import re
from typing import Any

import orjson

from events.envelope import RecordedEvent
from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from projectors.changes import Changes
from projectors.episodes import tables
from projectors.projector import Projection


def _completed(recorded: RecordedEvent[EpisodeCompleted], changes: Changes) -> None:
    event = recorded.event
    changes.append(
        tables.outcomes,
        cycle=event.cycle,
        uid=event.uid,
        env=event.env,
        index=event.index,
        hotkey=event.hotkey,
        outcome="completed",
        attempts=event.attempt,
        success=event.success,
        total_reward=event.total_reward,
        steps=event.steps,
        terminated=event.terminated,
        truncated=event.truncated,
        variation=orjson.dumps(event.variation).decode(),
        action_digest=event.action_digest,
        final_state_digest=event.final_state_digest,
        act_calls=event.latency.calls,
        act_p50_ms=event.latency.p50_ms,
        act_max_ms=event.latency.max_ms,
        duration_s=event.duration_s,
        worker=event.worker,
        ended_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )


def _forfeited(recorded: RecordedEvent[EpisodeForfeited], changes: Changes) -> None:
    event = recorded.event
    changes.append(
        tables.outcomes,
        cycle=event.cycle,
        uid=event.uid,
        env=event.env,
        index=event.index,
        hotkey=event.hotkey,
        outcome="forfeited",
        attempts=event.attempt,
        code=event.code.value,
        detail=event.detail,
        steps=event.steps,
        act_calls=event.latency.calls,
        act_p50_ms=event.latency.p50_ms,
        act_max_ms=event.latency.max_ms,
        duration_s=event.duration_s,
        worker=event.worker,
        ended_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )


def _abandoned(recorded: RecordedEvent[EpisodeAbandoned], changes: Changes) -> None:
    event = recorded.event
    changes.append(
        tables.outcomes,
        cycle=event.cycle,
        uid=event.uid,
        env=event.env,
        index=event.index,
        hotkey=event.hotkey,
        outcome="abandoned",
        attempts=event.attempts,
        code=event.code.value,
        detail=event.detail,
        ended_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )


def _attempt_failed(recorded: RecordedEvent[EpisodeAttemptFailed], changes: Changes) -> None:
    event = recorded.event
    key: dict[str, Any] = {"cycle": event.cycle, "uid": event.uid, "env": event.env, "index": event.index}
    changes.append(
        tables.attempts,
        **key,
        attempt=event.attempt,
        code=event.code.value,
        detail=event.detail,
        worker=event.worker,
        failed_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.cycle\.\d+\.(episode|attempt)\."),
    handlers={
        EpisodeCompleted: _completed,
        EpisodeForfeited: _forfeited,
        EpisodeAbandoned: _abandoned,
        EpisodeAttemptFailed: _attempt_failed,
    },
)
