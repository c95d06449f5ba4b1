"""Outcomes of spot checks, and copies -> rows."""

from __future__ import annotations

import re

from events.copies import CopiesFound
from events.envelope import RecordedEvent
from events.verification import (
    Committed,
    ComparedActions,
    VerificationFailed,
    VerificationInconclusive,
    VerificationOutcome,
    VerificationPassed,
)
from projectors.arrival import Arrival
from projectors.changes import Changes
from projectors.projector import Projection
from projectors.verifications import tables
from projectors.verifications.cut import cut_back


def _passed(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(VerificationPassed)
    event = recorded.event
    _checked(arrival, recorded, changes, "passed", committed=event.committed, compared=event.compared)


def _failed(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(VerificationFailed)
    event = recorded.event
    why = event.reason.value, event.detail
    _checked(arrival, recorded, changes, "failed", why, committed=event.committed, compared=event.compared)


def _inconclusive(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(VerificationInconclusive)
    event = recorded.event
    why = event.reason.value, event.detail
    _checked(arrival, recorded, changes, "inconclusive", why, committed=event.committed)


def _checked(
    arrival: Arrival,
    recorded: RecordedEvent[VerificationOutcome],
    changes: Changes,
    outcome: str,
    why: tuple[str, str] | tuple[None, None] = (None, None),
    *,
    committed: Committed | None,
    compared: ComparedActions | None = None,
) -> None:
    event, (reason, detail) = recorded.event, why
    changes.append(
        tables.checks,
        cycle=event.cycle,
        uid=event.uid,
        hotkey=event.hotkey,
        outcome=outcome,
        reason=reason,
        detail=detail,
        method=compared and compared.method.value,
        score=compared and compared.score,
        repo=event.repo,
        revision=event.revision,
        commit=committed and committed.commit,
        time=recorded.time,
        sequence=recorded.sequence,
        event=arrival.stored.body,
    )


def _copies_found(arrival: Arrival, changes: Changes) -> None:
    recorded = arrival.recorded(CopiesFound)
    event = recorded.event
    for place, copy in enumerate(event.copies):
        changes.append(
            tables.copies,
            cycle=event.cycle,
            place=place,
            copy=copy.model_dump_json(),
            sequence=recorded.sequence,
        )


PROJECTION = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    subjects=re.compile(r"evt\.(cycle\.\d+\.verification\.|copies\.)"),
    handlers={
        VerificationPassed: _passed,
        VerificationFailed: _failed,
        VerificationInconclusive: _inconclusive,
        CopiesFound: _copies_found,
    },
    cut_back=cut_back,
)
