"""Events as lines: what is audited, wherever it comes from. An export ends with a trailer, the log itself has none.

`events.export` stops at the first thing that is wrong with a file; an audit goes on, and says which check it fails.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from events.export import LINE_BYTES_MAX, Trailer, parse

BATCH_LINES = 1_000
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
class NotATrailer:
    """What stands where the trailer should."""

    found: str


def is_trailer(line: bytes) -> bool:
    return line.startswith(_TRAILER)


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
            self._ended, self.trailer = True, parse(line) or NotATrailer(repr(line[:200].decode(errors="replace")))
        else:
            return Line(self._number, None, line)
        return None
