"""The AsyncAPI document speaks of every event as it stands in the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from api.asyncapi import address_of, document
from events.codec import TYPES, draft
from events.envelope import begin
from events.event import Event
from events.subjects import subject_of
from tests.controls import facts

DOCUMENT: dict[str, Any] = json.loads(document("1.2.3"))
EVERY = [pytest.param(event, id=type(event).__name__) for event in facts.one_of_each()]


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(found := part.get("$ref"), str):
            yield found
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def test_every_type_is_a_message_of_one_channel() -> None:
    named = [name for channel in DOCUMENT["channels"].values() for name in channel["messages"]]
    assert sorted(named) == sorted(TYPES) == sorted(DOCUMENT["components"]["messages"])


def test_every_type_is_appended_by_one_operation() -> None:
    appended = [
        resolved(message["$ref"])["$ref"] for it in DOCUMENT["operations"].values() for message in it["messages"]
    ]
    assert sorted(appended) == sorted(f"#/components/messages/{name}" for name in TYPES)


def test_every_reference_leads_somewhere() -> None:
    assert all(resolved(reference) for reference in references(DOCUMENT))


def test_it_has_what_the_specification_asks_for() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert DOCUMENT["info"] | {"title": "kinitro", "version": "1.2.3"} == DOCUMENT["info"]
    for channel in DOCUMENT["channels"].values():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel.get("parameters", ()))
    assert {it["action"] for it in DOCUMENT["operations"].values()} == {"send"}
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", key) for key in DOCUMENT["channels"])


@pytest.mark.parametrize("event", EVERY)
def test_what_stands_in_the_log_is_as_described(event: Event) -> None:
    schema = DOCUMENT["components"]["messages"][event.type]["payload"]
    body = json.loads(draft(begin(event, source="/test", time=facts.MOMENT)).body)
    jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(body)


@pytest.mark.parametrize("event", EVERY)
def test_events_stand_at_the_address_of_their_channel(event: Event) -> None:
    pattern = re.sub(r"\\{\w+\\}", r"[A-Za-z0-9_-]+", re.escape(address_of(type(event))))
    assert re.fullmatch(pattern, subject_of(event)), (pattern, subject_of(event))
