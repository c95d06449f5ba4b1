from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.codec import TYPES, MalformedEvent, UnknownEventType, decode, decode_as, draft, encode
from events.cycles import CyclePlanned, CycleSeeded
from events.envelope import Envelope, begin, follow
from events.episodes import EpisodeCompleted, EpisodeForfeited
from events.event import Event
from events.log import Stored
from events.rules import ScoringRules
from tests.controls import facts

EVERY = [pytest.param(event, id=type(event).__name__) for event in facts.one_of_each()]


def envelope_of(event: Event) -> Envelope[Event]:
    return follow(event, cause="the cause", correlation="the story", source="/kinitro/tests", time=facts.MOMENT)


def stored(event: Event, **changes: Any) -> Stored:
    """The event in the log, with attributes of its document changed; None takes one away."""
    it = draft(envelope_of(event))
    document = {**json.loads(it.body), **changes}
    body = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
    return Stored(7, it.subject, body)


def with_data(event: Event, **changes: Any) -> Stored:
    return stored(event, data={**json.loads(event.model_dump_json()), **changes})


@pytest.mark.parametrize("event", EVERY)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    envelope = envelope_of(event)
    it = draft(envelope)
    recorded = decode(Stored(7, it.subject, it.body))
    assert recorded.envelope == envelope
    assert type(recorded.event) is type(event)
    assert (recorded.sequence, recorded.subject, recorded.id) == (7, it.subject, envelope.id)


@pytest.mark.parametrize("event", EVERY)
def test_the_payload_is_what_pydantic_writes(event: Event) -> None:
    _, _, data = draft(envelope_of(event)).body.partition(b'"data":')
    assert data == event.model_dump_json().encode() + b"}"


@pytest.mark.parametrize("event", EVERY)
def test_an_encoded_event_encodes_to_the_same_bytes(event: Event) -> None:
    it = draft(envelope_of(event))
    recorded = decode(Stored(1, it.subject, it.body))
    assert encode(recorded.envelope, it.subject) == it.body


def test_a_standing_names_that_its_uid_changed_hands_only_where_it_did() -> None:
    before = facts.weights_computed()
    gone = before.model_copy(
        update={"standings": (before.standings[0].model_copy(update={"moved": True}), before.standings[1])}
    )
    it = draft(envelope_of(gone))
    assert it.body.count(b'"moved"') == 1
    assert it.body.partition(b'"data":')[2] == gone.model_dump_json().encode() + b"}"
    assert decode(Stored(1, it.subject, it.body)).event == gone


def test_every_type_has_an_example() -> None:
    assert {event.type for event in facts.one_of_each()} == set(TYPES)


def test_the_exact_bytes_are_kept() -> None:
    it = draft(envelope_of(facts.seeded()))
    spaced = json.dumps(json.loads(it.body), indent=2).encode()
    assert decode(Stored(1, it.subject, spaced)).body is spaced


def test_the_document_is_as_documented() -> None:
    assert json.loads(draft(envelope_of(facts.seeded(3))).body) | {"id": "x"} == {
        "specversion": "1.0",
        "id": "x",
        "source": "/kinitro/tests",
        "type": "kinitro.cycle.seeded",
        "schemaversion": 1,
        "subject": "evt.cycle.3.seed",
        "time": "2026-01-02T03:04:05.678901Z",
        "datacontenttype": "application/json",
        "correlationid": "the story",
        "causationid": "the cause",
        "data": {"cycle": 3, "block": 51, "block_hash": facts.seeded().block_hash},
    }


def test_the_beginning_of_a_story_has_no_cause() -> None:
    envelope = begin(facts.planned(), source="/kinitro/tests")
    it = draft(envelope)
    assert "causationid" not in json.loads(it.body)
    assert decode(Stored(1, it.subject, it.body)).envelope == envelope


def test_an_event_inherits_its_story_from_its_cause() -> None:
    plan = begin(facts.planned(), source="/kinitro/a")
    seed = plan.follow(facts.seeded(), source="/kinitro/b")
    assert (seed.causation, seed.correlation) == (plan.id, plan.id)


def test_ids_are_unique() -> None:
    ids = {begin(facts.seeded(), source="/kinitro/tests").id for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in ids)


@given(
    text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=500),
    number=st.floats(allow_nan=False, allow_infinity=False),
    moment=st.datetimes(timezones=st.just(UTC)),
)
def test_any_text_number_and_moment_come_back(text: str, number: float, moment: datetime) -> None:
    event = facts.completed().model_copy(update={"worker": text, "total_reward": number, "duration_s": abs(number)})
    it = draft(begin(event, source=text, time=moment))
    recorded = decode(Stored(1, it.subject, it.body))
    assert recorded.event == event
    assert (recorded.envelope.source, recorded.time) == (text, moment)


@given(st.decimals(min_value=0, max_value=1, allow_nan=False, places=12))
def test_decimals_come_back_digit_for_digit(value: Any) -> None:
    event = facts.planned(rules=ScoringRules(coverage_min=value))
    it = draft(begin(event, source="/kinitro/tests"))
    back = decode_as(CyclePlanned, Stored(1, it.subject, it.body)).event.rules.coverage_min
    assert str(back) == str(event.rules.coverage_min)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_event_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent, match=r"event at sequence 9 \(evt\.x\) cannot be read"):
        decode(Stored(9, "evt.x", body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(document=json_values)
def test_json_that_is_no_event_is_malformed(document: Any) -> None:
    with pytest.raises(MalformedEvent):
        decode(Stored(9, "evt.x", json.dumps(document, allow_nan=True).encode()))


@given(
    name=st.sampled_from(
        ["id", "source", "type", "schemaversion", "subject", "time", "correlationid", "causationid", "data"]
    ),
    value=json_values,
)
def test_no_value_of_an_attribute_raises_anything_else(name: str, value: Any) -> None:
    try:
        decode(stored(facts.seeded(), **{name: value}))
    except codec.CodecError:
        return


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"specversion": "0.3"}, "specversion '0.3', expected '1.0'"),
        ({"specversion": None}, "KeyError: 'specversion'"),
        ({"id": None}, "KeyError: 'id'"),
        ({"id": 7}, "id 7, expected text"),
        ({"source": []}, r"source \[\], expected text"),
        ({"correlationid": None}, "KeyError: 'correlationid'"),
        ({"causationid": 1}, "causationid 1, expected text or none"),
        ({"subject": "evt.cycle.2.seed"}, "subject 'evt.cycle.2.seed', expected the one at which it stands"),
        ({"time": "yesterday"}, "yesterday"),
        ({"time": "2026-01-02T03:04:05"}, "expected UTC"),
        ({"time": "2026-01-02T03:04:05+01:00"}, "expected UTC"),
        ({"time": 5}, "TypeError"),
        ({"schemaversion": "1"}, "TypeError"),
        ({"schemaversion": 0}, "KeyError"),
        ({"type": ["kinitro.cycle.seeded"]}, "TypeError"),
        ({"data": None}, "KeyError: 'data'"),
        ({"data": []}, r"cannot be read: data: Input should be .*, found \[\]$"),
    ],
)
def test_a_wrong_attribute_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedEvent, match=reason):
        decode(stored(facts.seeded(), **changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"surprise": 1}, "surprise"),
        ({"success": None}, "success"),
        ({"steps": -1}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"total_reward": "NaN"}, "total_reward"),
        ({"evidence": {**facts.evidence(facts.key()).model_dump(), "action_digest": "ABC"}}, "action_digest"),
        ({"hotkey": "a.b"}, "hotkey"),
        ({"worker": "a\x00b"}, r"U\+0000"),
        ({"worker": "x" * 501}, "worker"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(MalformedEvent, match=reason):
        decode(with_data(facts.completed(), **changes))


def test_a_missing_field_is_named() -> None:
    data = json.loads(facts.seeded().model_dump_json())
    del data["block_hash"]
    with pytest.raises(MalformedEvent, match="block_hash"):
        decode(stored(facts.seeded(), data=data))


def test_an_unknown_type_is_loud() -> None:
    with pytest.raises(UnknownEventType, match=r"sequence 7 has type 'kinitro\.cycle\.unheard_of'.*upgrade"):
        decode(stored(facts.seeded(), type="kinitro.cycle.unheard_of"))


def test_a_newer_version_is_loud() -> None:
    with pytest.raises(UnknownEventType, match=r"kinitro\.cycle\.seeded version 2, this program knows up to 1"):
        decode(stored(facts.seeded(), schemaversion=2))


def test_an_older_version_is_upcast_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    class Third(CycleSeeded):
        schema_version: ClassVar[int] = 3
        entropy_kind: str

    monkeypatch.setitem(codec.TYPES, Third.type, Third)
    monkeypatch.setitem(codec.UPCASTS, (Third.type, 1), lambda data: {**data, "kind": "block"})
    monkeypatch.setitem(
        codec.UPCASTS,
        (Third.type, 2),
        lambda data: {("entropy_kind" if name == "kind" else name): value for name, value in data.items()},
    )
    recorded = decode_as(Third, stored(facts.seeded()))
    assert recorded.event.entropy_kind == "block"


def test_another_kind_than_the_subject_can_hold_is_malformed() -> None:
    with pytest.raises(
        MalformedEvent, match=r"is a kinitro\.episode\.completed, expected kinitro\.episode\.forfeited"
    ):
        decode_as(EpisodeForfeited, stored(facts.completed()))


def test_the_expected_kind_is_given() -> None:
    assert decode_as(EpisodeCompleted, stored(facts.completed())).event == facts.completed()


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=2))])
def test_a_moment_that_is_not_in_utc_is_refused(zone: timezone | None) -> None:
    moment = datetime(2026, 1, 1, 1, tzinfo=zone)
    with pytest.raises(ValueError, match=r"time 2026-01-01T01:00:00.*is not in UTC"):
        draft(begin(facts.seeded(), source="/kinitro/tests", time=moment))
