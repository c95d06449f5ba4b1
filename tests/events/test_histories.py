"""Yesterday's events, as recorded, read by today's code: each line of a history is the exact body of one event."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.codec import decode
from events.cycles import CyclePlanned
from events.log import Stored
from events.subjects import subject_of
from events.variation import NO_VARIATION
from events.verification import Measure
from tests.controls import facts

HISTORIES = Path(__file__).parent.parent / "histories"


def recorded(history: str) -> list[Stored]:
    lines = (HISTORIES / f"{history}.ndjson").read_bytes().splitlines()
    events = [(json.loads(line), line) for line in lines]
    is_export = "kinitro_trailer" in events[-1][0]
    events = events[:-1] if is_export else events
    return [Stored(sequence, event["subject"], line) for sequence, (event, line) in enumerate(events, 1)]


@pytest.mark.parametrize("history", sorted(path.stem for path in HISTORIES.glob("*.ndjson")))
def test_every_recorded_event_can_be_read(history: str) -> None:
    for stored in recorded(history):
        assert subject_of(decode(stored).event) == stored.subject


def test_version_1_had_no_variation_and_no_limit_to_forfeits() -> None:
    plan, completed, forfeited = (decode(stored).event for stored in recorded("version-1"))
    assert plan == facts.planned()
    assert plan.terms.variation == NO_VARIATION
    assert plan.terms.forfeits_in_row_max is None
    expected = facts.completed()
    unknown = expected.evidence.model_copy(update={"versions": {}, "machine": ""})
    assert completed == expected.model_copy(update={"evidence": unknown})
    assert forfeited == facts.forfeited().model_copy(update={"evidence": None})


def test_before_endpoints_could_be_sealed_all_were_in_the_clear() -> None:
    events = [decode(stored).event for stored in recorded("before-sealed-endpoints")]
    assert events == [facts.discovered(), facts.commitment_changed(), facts.planned()]
    assert facts.discovered().commitment.sealed_endpoint is None


@pytest.mark.parametrize(
    ("history", "measure"),
    [("spot-checks", Measure.WHOLE_ACTION), ("spot-checks-by-channel", Measure.BY_CHANNEL), ("two-miners", None)],
)
def test_a_plan_keeps_the_measure_by_which_its_miners_were_checked(history: str, measure: Measure | None) -> None:
    events = [decode(stored).event for stored in recorded(f"cycles/{history}")]
    [plan] = [event for event in events if isinstance(event, CyclePlanned)]
    assert (plan.verification.measure if plan.verification else None) == measure
