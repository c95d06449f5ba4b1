"""An export says by itself whether it is whole."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from events.codec import draft
from events.envelope import begin
from events.export import (
    LINE_BYTES_MAX,
    AfterTrailer,
    BadExport,
    BadTrailer,
    CountDiffers,
    CutOff,
    Encoder,
    NotAnEvent,
    NotExportable,
    RootDiffers,
    Trailer,
    check,
    parse,
    read,
)
from events.log import Stored
from tests.controls import facts

BODIES = [draft(begin(event, source="/test")).body for event in facts.whole_cycle()]


def exported(bodies: list[bytes] = BODIES) -> list[bytes]:
    encoder = Encoder()
    lines = [encoder.line(Stored(number, "evt.a", body)) for number, body in enumerate(bodies, start=1)]
    return [*lines, encoder.trailer(1, len(bodies)).line()]


def test_what_was_written_is_read() -> None:
    assert [event.body for event in read(exported())] == BODIES


def test_events_come_with_the_subject_and_id_that_they_name() -> None:
    events = [draft(begin(event, source="/test")) for event in facts.whole_cycle()]
    assert [(it.subject, it.id) for it in read(exported([each.body for each in events]))] == [
        (each.subject, each.id) for each in events
    ]


def test_the_trailer_is_as_documented() -> None:
    root = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    line = b'{"kinitro_trailer":{"count":0,"first_sequence":8,"last_sequence":7,"root":"%s"}}\n' % root.encode()
    assert Encoder().trailer(8, 7).line() == line
    assert check([line]) == Trailer(0, 8, 7, root)


MUTATIONS: dict[str, tuple[Callable[[list[bytes]], list[bytes]], type[BadExport], str]] = {
    "a line missing": (lambda it: it[:2] + it[3:], CountDiffers, "line 12: expected 12 events.*found 11.*missing"),
    "a line doubled": (lambda it: it[:3] + it[2:], CountDiffers, "line 14: expected 12 events.*found 13.*doubled"),
    "two lines swapped": (lambda it: [it[1], it[0], *it[2:]], RootDiffers, "line 13: expected the root .*, found"),
    "a digit changed": (lambda it: [it[0].replace(b'"time":"2', b'"time":"3'), *it[1:]], RootDiffers, "line 13"),
    "a line replaced": (lambda it: [*it[:4], it[5], *it[5:]], RootDiffers, "line 13"),
    "no trailer": (lambda it: it[:-1], CutOff, "line 13: .*ends without a trailer after 12 events"),
    "cut in a line": (lambda it: [*it[:3], it[3][:50]], CutOff, "line 4: .*ends without a trailer, in the middle"),
    "cut in the trailer": (lambda it: [*it[:-1], it[-1][:-1]], CutOff, "line 13: .*without a trailer, in the middle"),
    "nothing at all": (lambda it: [], CutOff, "line 1: .*ends without a trailer after 0 events"),
    "junk after the trailer": (lambda it: [*it, b"\n"], AfterTrailer, "line 14: expected the end after the trailer"),
    "two exports": (lambda it: it + it, AfterTrailer, "line 14"),
    "not JSON": (
        lambda it: [it[0], b"hello\n"],
        NotAnEvent,
        "line 2: expected a CloudEvents document, found b'hello'",
    ),
    "other JSON": (lambda it: [b'{"a":1}\n'], NotAnEvent, "line 1: .*KeyError"),
    "a list": (lambda it: [b"[]\n"], NotAnEvent, "line 1"),
    "a strange subject": (
        lambda it: [b'{"specversion":"1.0","subject":"$JS.API.STREAM.DELETE.KINITRO_EVENTS","id":"a"}\n'],
        NotAnEvent,
        "line 1: .*is not ours",
    ),
    "a wildcard": (lambda it: [b'{"specversion":"1.0","subject":"evt.>","id":"a"}\n'], NotAnEvent, "line 1"),
    "an id that breaks headers": (
        lambda it: [b'{"specversion":"1.0","subject":"evt.a","id":"a\\r\\nb"}\n'],
        NotAnEvent,
        "line 1",
    ),
    "a line too long": (lambda it: [b"x" * LINE_BYTES_MAX + b"\n"], NotAnEvent, f"longer than {LINE_BYTES_MAX}"),
    "a count of one more": (
        lambda it: [*it[:-1], it[-1].replace(b'"count":12', b'"count":13')],
        BadTrailer,
        "line 13: expected a trailer",
    ),
    "a trailer with spaces": (lambda it: [*it[:-1], it[-1].replace(b",", b", ")], BadTrailer, "line 13"),
    "a trailer with more in it": (lambda it: [b'{"kinitro_trailer":{"count":0,"more":1}}\n'], BadTrailer, "upgrade"),
    "a trailer of another kind": (lambda it: [b'{"kinitro_trailer":7}\n'], BadTrailer, "line 1"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_was_changed_is_refused_with_its_line(name: str) -> None:
    change, error, message = MUTATIONS[name]
    with pytest.raises(error, match=message):
        check(change(exported()))


def test_no_changed_byte_of_the_events_or_of_the_root_passes() -> None:
    whole, chance = b"".join(exported()), random.Random(1)
    numbers = whole.index(b'"first_sequence"')
    for _ in range(2_000):
        place = chance.randrange(numbers)
        changed = bytearray(whole)
        changed[place] ^= 1 << chance.randrange(8)
        with pytest.raises(BadExport):
            check(bytes(changed).splitlines(keepends=True))


@pytest.mark.parametrize("body", [b"", b'{"a":\n1}', b'{"kinitro_trailer":{}}'])
def test_what_cannot_be_a_line_is_not_exported(body: bytes) -> None:
    with pytest.raises(NotExportable, match=r"sequence 7 \(evt\.a\).*restore the log"):
        Encoder().line(Stored(7, "evt.a", body))


def test_a_trailer_is_told_from_an_event() -> None:
    assert parse(BODIES[0]) is None
    assert parse(exported()[-1]) == check(exported())


def test_only_an_unbroken_part_of_a_log_is_whole() -> None:
    assert Trailer(3, 5, 7, "").whole
    assert not Trailer(2, 5, 7, "").whole
