"""Weights, computed or withheld -> rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

import orjson

from events.ids import CycleId
from events.weights import MinerStanding, WeightsComputed, WeightsWithheld
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.projector import Projection
from projectors.weights import tables
from projectors.weights.cut import cut_back


def _computed(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(WeightsComputed)
    event = recorded.event
    changes.append(
        tables.results,
        cycle=event.cycle,
        block=event.block,
        computed=True,
        merkle_root=event.merkle_root,
        epsilons=_json(event.epsilons),
        u16_uids=_json(event.weights_u16.uids),
        u16_values=_json(event.weights_u16.values),
        created_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )
    _standings(event.cycle, event.standings, changes)


def _withheld(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(WeightsWithheld)
    event = recorded.event
    changes.append(
        tables.results,
        cycle=event.cycle,
        block=event.block,
        computed=False,
        reason=event.reason.value,
        detail=event.detail,
        epsilons=_json(event.epsilons),
        created_at=recorded.time,
        event_id=recorded.id,
        sequence=recorded.sequence,
    )
    _standings(event.cycle, event.standings, changes)


def _standings(cycle: CycleId, standings: Sequence[MinerStanding], changes: Changes) -> None:
    for standing in standings:
        changes.append(
            tables.standings,
            cycle=cycle,
            uid=standing.uid,
            hotkey=standing.hotkey,
            on_frontier=standing.on_frontier,
            points=standing.points,
            weight=standing.weight,
            moved=standing.moved,
            unverified=standing.unverified,
        )
        for env, tally in standing.tallies.items():
            changes.append(
                tables.tallies,
                cycle=cycle,
                uid=standing.uid,
                env=env,
                completed=tally.completed,
                successful=tally.successful,
                forfeited=tally.forfeited,
                abandoned=tally.abandoned,
            )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.weights\."),
    handlers={WeightsComputed: _computed, WeightsWithheld: _withheld},
    cut_back=cut_back,
)
