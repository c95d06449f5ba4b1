"""From where the events of a cycle come: an exported file, anybody's API, or the log itself."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, cast

import aiohttp

from consumers.audit.anchors import recorded_anchors
from consumers.audit.case import SourceAway
from consumers.audit.cycle.lines import BATCH_LINES, LINE_BYTES_MAX, Export, Line, NotATrailer
from consumers.audit.cycle.verdicts import NoSuchCycle, NoSuchFile
from events.anchors import RootAnchored
from events.export import Trailer
from events.ids import CycleId
from events.log import EventLog
from events.mirror import of_cycle

SILENCE_S = 30.0
"""How long an API may send nothing."""

STDIN = Path("-")
_GZIP = b"\x1f\x8b"


class CycleSource(Protocol):
    """Gives the events of one cycle."""

    def batches(self, cycle: CycleId) -> AsyncIterator[list[Line]]:
        """All about the cycle in log order, some at a time.

        Raises:
            CannotAudit: which kind says why.
        """
        ...

    @property
    def trailer(self) -> Trailer | NotATrailer | None:
        """What the exporter says of the events, once all were given; None where the log itself was read."""
        ...


class FileSource:
    """An export in a file, or `-` for standard input; compressed with gzip or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._export = Export()

    @property
    def trailer(self) -> Trailer | NotATrailer | None:
        return self._export.trailer

    async def batches(self, cycle: CycleId) -> AsyncIterator[list[Line]]:  # noqa: ARG002  # the file is of one cycle
        try:
            with _opened(self._path) as file:
                batches = self._export.batches(_lines(file))
                while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                    yield batch
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise NoSuchFile(f"--file {self._path} cannot be read: {error}") from error


class ApiSource:
    """`GET /v1/cycles/{id}/events`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session, self._base_url = session, base_url.rstrip("/")
        self._export = Export()

    @property
    def trailer(self) -> Trailer | NotATrailer | None:
        return self._export.trailer

    async def batches(self, cycle: CycleId) -> AsyncIterator[list[Line]]:
        url = f"{self._base_url}/v1/cycles/{cycle}/events"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        try:
            async with self._session.get(url, timeout=timeout, allow_redirects=False) as answer:
                _check_status(url, answer.status, cycle)
                async for batch in self._received(answer):
                    yield batch
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SourceAway(f"{url}: {type(error).__name__}: {error}; is --api-url right?") from error

    async def _received(self, answer: aiohttp.ClientResponse) -> AsyncIterator[list[Line]]:
        rest, raw = b"", list[bytes]()
        async for chunk in answer.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            raw += lines
            if len(rest) > LINE_BYTES_MAX:
                raise ValueError(f"a line of more than {LINE_BYTES_MAX} bytes: this is not an export")
            if len(raw) >= BATCH_LINES:
                yield [line for each in raw if (line := self._export.take(each)) is not None]
                raw.clear()
        raw += [rest] if rest else []
        yield [line for each in raw if (line := self._export.take(each)) is not None]


class LogSource:
    """The log: with the sequence of each event, and without a trailer."""

    trailer: Trailer | NotATrailer | None = None

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def anchors(self) -> list[RootAnchored]:
        """All that are recorded, oldest first."""
        return await recorded_anchors(self._log)

    async def batches(self, cycle: CycleId) -> AsyncIterator[list[Line]]:
        number = 0
        events = self._log.read(subject=of_cycle(cycle))
        async with aclosing(cast("Any", events)):
            async for batch in events:
                yield [Line(place, it.sequence, it.body) for place, it in enumerate(batch, start=number + 1)]
                number += len(batch)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if path == STDIN:
        yield _unpacked(sys.stdin.buffer)
    else:
        with path.open("rb") as file:
            yield _unpacked(file)


def _unpacked(file: Any) -> IO[bytes]:
    is_packed = file.peek(2)[:2] == _GZIP
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file) if is_packed else file)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of bounded length: a longer one comes in pieces, which are no events."""
    while line := file.readline(LINE_BYTES_MAX + 2):
        yield line


def _check_status(url: str, status: int, cycle: CycleId) -> None:
    if status == 404:
        raise NoSuchCycle(f"{url} answered 404: it knows no cycle {cycle}")
    if status != 200:
        raise SourceAway(f"{url} answered {status}, not as our API would; is --api-url right?")
