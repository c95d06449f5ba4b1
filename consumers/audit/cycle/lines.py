"""Events as lines: what is audited, wherever it comes from. An export ends with a trailer, the log itself has none.

The trailer: `{"kinitro_trailer":{"count":C,"first_sequence":F,"last_sequence":L,"root":HEX}}`, the root being the
tree of RFC 6962 over the lines before it, without their line feeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

import orjson

from events.log import BODY_BYTES_MAX

BATCH_LINES = 1_000
LINE_BYTES_MAX = BODY_BYTES_MAX + 1
_TRAILER = b'{"kinitro_trailer":'


class Line(NamedTuple):
    """The exact bytes of one event; its place in the export, counted from 1, and in the log, if known."""

    number: int
    sequence: int | None
    body: bytes

    @property
    def where(self) -> str:
        return f"line {self.number}" if self.sequence is None else f"sequence {self.sequence}"


@dataclass(frozen=True, slots=True)
class Trailer:
    """What the exporter says of its lines."""

    count: int
    first_sequence: int
    last_sequence: int
    root: str


@dataclass(frozen=True, slots=True)
class NotATrailer:
    """What stands where the trailer should."""

    found: str


def is_trailer(line: bytes) -> bool:
    return line.startswith(_TRAILER)


def parse_trailer(line: bytes) -> Trailer | NotATrailer:
    """The trailer in its line, without line feed."""
    shown = NotATrailer(repr(line[:200].decode(errors="replace")))
    try:
        fields = orjson.loads(line)["kinitro_trailer"]
        trailer = Trailer(**fields)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return shown
    numbers = (trailer.count, trailer.first_sequence, trailer.last_sequence)
    return trailer if all(map(_is_count, numbers)) and isinstance(trailer.root, str) else shown


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0


class Export:
    """Splits an export into its events and its trailer, as it is read."""

    def __init__(self) -> None:
        self.trailer: Trailer | NotATrailer = NotATrailer("the end of the file")
        self._number = 0
        self._ended = False

    def batches(self, lines: Iterable[bytes]) -> Iterator[list[Line]]:
        """The events, a thousand at a time. Afterwards `trailer` is what the last line says."""
        batch: list[Line] = []
        for line in lines:
            if (taken := self.take(line)) is not None:
                batch.append(taken)
            if len(batch) == BATCH_LINES:
                yield batch
                batch = []
        yield batch

    def take(self, raw: bytes) -> Line | None:
        """The event of the next line, with or without its line feed; None for the trailer and what follows it."""
        self._number += 1
        line = raw.removesuffix(b"\n")
        if self._ended:
            self.trailer = NotATrailer(f"line {self._number} after the trailer")
        elif len(line) > LINE_BYTES_MAX:
            raise ValueError(f"line {self._number} has more than {LINE_BYTES_MAX} bytes: this is not an export")
        elif is_trailer(line):
            self._ended, self.trailer = True, parse_trailer(line)
        else:
            return Line(self._number, None, line)
        return None
