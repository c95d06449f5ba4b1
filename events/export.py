"""How events leave the log: a line each, of their exact bytes, and a last line that tells what belongs together.

The last line, the trailer, is `{"kinitro_trailer":{"count":C,"first_sequence":F,"last_sequence":L,"root":R}}`. R is
the RFC 6962 tree hash over the lines before it, without their line feeds, in hex. Every line ends in a line feed.
Without any event C is 0, L the position after which events were asked for, and F the next one.

Root and count tell of every line that is missing, doubled, moved or changed. F and L are only the exporter's word for
where in its log the lines stand; `whole` says whether they name an unbroken part of it.

ExportError
├── NotExportable        the log holds bytes that cannot be a line
└── BadExport            what was read is not what an exporter has written
    ├── NotAnEvent       a line is no event: it was changed, or this is another kind of file
    ├── CutOff           it ends without a trailer
    ├── BadTrailer       the trailer was changed, or a newer program wrote it
    ├── CountDiffers     lines are missing, doubled or foreign
    ├── RootDiffers      lines were changed, replaced or moved
    └── AfterTrailer     something follows the trailer
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from events.for_people import ForPeople
from events.log import BODY_BYTES_MAX, Stored
from events.merkle import MerkleTree

MEDIA_TYPE = "application/x-ndjson"

LINE_BYTES_MAX = BODY_BYTES_MAX + 1
"""The longest event and its line feed."""

_TRAILER = b'{"kinitro_trailer":'
_SUBJECT = re.compile(r"evt(\.[A-Za-z0-9_-]{1,64}){1,12}")
_ID = re.compile(r"[!-~]{1,64}")


class ExportError(ForPeople):
    """Events could not be taken out of a log, or not be brought into one."""


class NotExportable(ExportError):
    """The log holds bytes that cannot be a line. None of our programs writes such an event."""


class BadExport(ExportError):
    """Not what an exporter has written; `line` counts from 1. Get the export once more, from a source you trust."""

    def __init__(self, line: int, problem: str, remedy: str) -> None:
        super().__init__(f"line {line}: {problem}; {remedy}")
        self.line = line


class NotAnEvent(BadExport):
    """A line is no event: it was changed, or this is another kind of file."""


class CutOff(BadExport):
    """It ends without a trailer: the exporter broke off, or the end was lost."""


class BadTrailer(BadExport):
    """The trailer is not as this program writes it."""


class CountDiffers(BadExport):
    """There are more or fewer lines than the trailer counts."""


class RootDiffers(BadExport):
    """The lines are not those of which the trailer has the root, or not in that order."""


class AfterTrailer(BadExport):
    """Something follows the trailer: two exports in one file, or junk."""


@dataclass(frozen=True, slots=True)
class Trailer:
    """What an export holds. Sequences are those of the log that it was taken from."""

    count: int
    first_sequence: int
    last_sequence: int
    root: str

    @property
    def whole(self) -> bool:
        """Whether the events are all that the log has from the first to the last sequence."""
        return self.last_sequence - self.first_sequence + 1 == self.count

    def line(self) -> bytes:
        return orjson.dumps({"kinitro_trailer": asdict(self)}) + b"\n"


class Sink(Protocol):
    """Where an export is written: a file, or whatever takes bytes as one does."""

    def write(self, piece: bytes, /) -> object: ...


class Exported(NamedTuple):
    """One event of an export: its exact bytes, and the subject and id that they name."""

    subject: str
    id: str
    body: bytes


class Encoder:
    """Events in log order -> lines. Its memory does not grow with them."""

    def __init__(self) -> None:
        self._tree = MerkleTree()

    @property
    def count(self) -> int:
        return self._tree.size

    def line(self, stored: Stored) -> bytes:
        """The next line.

        Raises:
            NotExportable: the event contains a line feed, or would be taken for a trailer.
        """
        if b"\n" in stored.body or stored.body.startswith(_TRAILER) or not stored.body:
            raise NotExportable(
                f"sequence {stored.sequence} ({stored.subject}) is {stored.body[:40]!r}..., which cannot be a line:"
                " a stranger wrote it; restore the log from a backup or a mirror"
            )
        self._tree.add(stored.body)
        return stored.body + b"\n"

    def trailer(self, first_sequence: int, last_sequence: int) -> Trailer:
        return Trailer(self.count, first_sequence, last_sequence, self._tree.root().hex())


class Decoder:
    """Lines -> events, checked as they come. Nothing is certain before `end` has returned."""

    def __init__(self) -> None:
        self._tree = MerkleTree()
        self._line = 0
        self._trailer: Trailer | None = None

    @property
    def count(self) -> int:
        """How many events have come so far."""
        return self._tree.size

    def take(self, line: bytes) -> Exported | None:
        """The event in the next line, which ends in a line feed; None for the trailer.

        Raises:
            BadExport: which kind says why.
        """
        self._line += 1
        if self._trailer is not None:
            raise AfterTrailer(
                self._line, f"expected the end after the trailer, found {line[:40]!r}", "take one export at a time"
            )
        if len(line) > LINE_BYTES_MAX:
            raise NotAnEvent(self._line, f"longer than {LINE_BYTES_MAX} bytes, as no event is", _ANOTHER)
        if not line.endswith(b"\n"):
            raise CutOff(
                self._line, f"the export ends without a trailer, in the middle of a line: {line[-40:]!r}", _AGAIN
            )
        body = line[:-1]
        if body.startswith(_TRAILER):
            self._trailer = self._check(body)
            return None
        event = self._event(body)
        self._tree.add(body)
        return event

    def end(self) -> Trailer:
        """The trailer, once every line was taken.

        Raises:
            CutOff: there was none.
        """
        if self._trailer is None:
            raise CutOff(self._line + 1, f"the export ends without a trailer after {self.count} events", _AGAIN)
        return self._trailer

    def _event(self, body: bytes) -> Exported:
        try:
            document = orjson.loads(body)
            subject, identity = document["subject"], document["id"]
            if document["specversion"] == "1.0" and _SUBJECT.fullmatch(subject) and _ID.fullmatch(identity):
                return Exported(subject, identity, body)
            problem = f"specversion {document['specversion']!r}, subject {subject!r} or id {identity!r} is not ours"
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            problem = f"{type(error).__name__}: {error}"
        raise NotAnEvent(self._line, f"expected a CloudEvents document, found {body[:40]!r} ({problem})", _ANOTHER)

    def _check(self, body: bytes) -> Trailer:
        trailer = parse(body)
        if trailer is None:
            raise BadTrailer(self._line, f"expected a trailer, found {body[:200]!r}", f"{_AGAIN}, or upgrade")
        if trailer.count != self.count:
            some = "missing" if trailer.count > self.count else "doubled, or not of this export"
            raise CountDiffers(
                self._line,
                f"expected {trailer.count} events before the trailer, found {self.count}: some are {some}",
                _AGAIN,
            )
        if trailer.root != (root := self._tree.root().hex()):
            raise RootDiffers(
                self._line,
                f"expected the root {trailer.root}, found {root}: lines 1 to {self.count} were changed or moved",
                _AGAIN,
            )
        return trailer


def read(lines: Iterable[bytes]) -> Generator[Exported, None, Trailer]:
    """The events of an export; returns its trailer. What was yielded is certain only when it has returned.

    Raises:
        BadExport: which kind says why.
    """
    decoder = Decoder()
    for line in lines:
        if event := decoder.take(line):
            yield event
    return decoder.end()


def check(lines: Iterable[bytes]) -> Trailer:
    """Reads an export to its end and keeps nothing of it.

    Raises:
        BadExport: which kind says why.
    """
    decoder = Decoder()
    for line in lines:
        decoder.take(line)
    return decoder.end()


def parse(line: bytes) -> Trailer | None:
    """The trailer in this line, with its line feed or without; None unless it is exactly as we would write it."""
    try:
        fields: dict[str, Any] = orjson.loads(line)["kinitro_trailer"]
        trailer = Trailer(**fields)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    numbers = (trailer.count, trailer.first_sequence, trailer.last_sequence)
    well_formed = all(type(number) is int and number >= 0 for number in numbers) and (
        0 <= trailer.count <= trailer.last_sequence - trailer.first_sequence + 1
    )
    return trailer if well_formed and trailer.line() == line.removesuffix(b"\n") + b"\n" else None


_AGAIN = "get the export once more"
_ANOTHER = "this is not an export, or it was changed: get it once more"
