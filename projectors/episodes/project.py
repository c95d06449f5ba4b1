"""Outcomes and failed attempts of episodes -> rows."""

from __future__ import annotations

import re

from events.episodes import EpisodeAbandoned, EpisodeAttemptFailed, EpisodeCompleted, EpisodeForfeited
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.episodes import tables
from projectors.episodes.cut import cut_back
from projectors.episodes.packing import packed_attempts, packed_outcomes
from projectors.projector import Projection


def _completed(arrival: Arrival, changes: Changes) -> None:
    _outcome(arrival, changes, success=arrival.data["success"])


def _forfeited(arrival: Arrival, changes: Changes) -> None:
    _outcome(arrival, changes, success=False, forfeited=True)


def _abandoned(arrival: Arrival, changes: Changes) -> None:
    _outcome(arrival, changes, success=None)


def _outcome(arrival: Arrival, changes: Changes, *, success: bool | None, forfeited: bool = False) -> None:
    data, stored = arrival.data, arrival.stored
    changes.put(
        tables.outcomes,
        (
            data["cycle"],
            data["uid"],
            data["env"],
            data["index"],
            success,
            forfeited,
            stored.sequence,
            stored.body,
        ),
    )


def _attempt_failed(arrival: Arrival, changes: Changes) -> None:
    data, stored = arrival.data, arrival.stored
    changes.put(
        tables.attempts,
        (
            data["cycle"],
            data["uid"],
            data["env"],
            data["index"],
            data["attempt"],
            stored.sequence,
            stored.body,
        ),
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
    cut_back=cut_back,
    heavy={tables.outcomes: packed_outcomes, tables.attempts: packed_attempts},
)
