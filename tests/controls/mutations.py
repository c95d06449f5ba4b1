"""Means to alter an exported cycle: every leaf of every document, in every way that is of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from consumers.audit.case import CannotAudit
from consumers.audit.cycle.audit import audit_export
from consumers.audit.cycle.verdicts import Name, NewerEvents
from events.ids import CycleId, Hotkey
from tests.controls.exports import body_of, document


def differing(cycle: CycleId, lines: Sequence[bytes], key: Hotkey | None) -> set[Name]:
    """The checks that differ; where it cannot be audited because it looks newer, that is said by `events`."""
    try:
        audit = audit_export(cycle, lines, key)
    except NewerEvents:
        return {Name.EVENTS}
    except CannotAudit as error:
        pytest.fail(f"it is not named: {error}")
    return {verdict.name for verdict in audit.verdicts if verdict.same is False}


def altered(value: Any) -> Iterator[Any]:
    """Other values of the same kind."""
    match value:
        case bool():
            yield not value
        case int():
            yield value + 1
            yield value - 1
        case float():
            yield value + 0.5
        case str():
            yield value + "x"
            yield ("0" if value[:1] != "0" else "1") + value[1:]
        case None:
            yield "something"
        case []:
            yield ["something"]
        case {}:
            yield {"some": "thing"}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf of a document, with the way to it."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not members or not value:
        yield path, value
    for name, member in list(members):
        yield from leaves(member, (*path, name))


def put(body: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    changed = document(body)
    place: Any = changed
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return body_of(changed)
