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
from consumers.audit.cycle.lines import BATCH_LINES, Export, Line, NotATrailer
from consumers.audit.cycle.verdicts import NoSuchCycle, NoSuchFile
from events.anchors import RootAnchored
from events.export import LINE_BYTES_MAX, Trailer
from events.export_api import lines
from events.ids import CycleId
from events.log import EventLog
from events.mirror import of_cycle
from events.public_api import refused

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
                await _check_status(answer, url)
                async for batch in self._received(answer):
                    yield batch
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SourceAway(f"{url}: {type(error).__name__}: {error}; is --api-url right?") from error

    async def _received(self, answer: aiohttp.ClientResponse) -> AsyncIterator[list[Line]]:
        batch: list[Line] = []
        async for line in lines(answer.content.iter_any()):
            if (taken := self._export.take(line)) is not None:
                batch.append(taken)
            if len(batch) == BATCH_LINES:
                yield batch
                batch = []
        yield batch


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


async def _check_status(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status != 200:
        refusal = await refused(answer, url)
        is_unknown = refusal.problem is not None and refusal.problem.kind == "unknown-cycle"
        raise (NoSuchCycle if is_unknown else SourceAway)(refusal.refusal)
