"""`GET /v1/weights/latest` from memory: the bytes are made once per event, not once per request.

How stale can they be? Before an answer is given, the bytes must have been compared with the database less than
`FRESH_S` ago, by the id of the event that they were made from; else that is done first. All requests that need a
comparison wait for the same one. While PostgreSQL is away there is no answer but 503. So an answer is never more than
`FRESH_S`, and the time of one query, behind the read model; how far that is behind the log, `/readyz` tells.

Who has the bytes already may wait for others (`?wait=`). All who wait are woken by one task, which compares every
`FRESH_S` for as long as anybody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from starlette.types import Scope

from api.http import caching
from api.http.encodings import gzipped, wants_gzip
from api.http.representations import etag, is_known
from api.problems import Problem, not_found
from api.sources import ReadModels
from projectors.weights import queries
from projectors.weights.queries import Weights

PATH = "/v1/weights/latest"
FRESH_S = 0.25
NO_WEIGHTS = "no cycle has given weights yet"

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Representation:
    """Bytes that are ready to be sent, and the strong ETag that names them."""

    body: bytes
    etag: bytes
    headers: RawHeaders
    headers_304: RawHeaders

    @classmethod
    def of(cls, body: bytes, *, is_gzip: bool) -> Representation:
        sent = gzipped(body) if is_gzip else body
        tag = etag(body, is_gzip=is_gzip).encode()
        always = (
            (b"etag", tag),
            (b"cache-control", caching.ASK_AGAIN.encode()),
            (b"vary", b"Accept-Encoding"),
        )
        of_the_body = [(b"content-type", b"application/json"), (b"content-length", str(len(sent)).encode())]
        if is_gzip:
            of_the_body.append((b"content-encoding", b"gzip"))
        return cls(sent, tag, (*of_the_body, *always), always)

    def known_to(self, request_headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the client has these bytes already."""
        given = [value for name, value in request_headers if name == b"if-none-match"]
        return bool(given) and (
            given == [self.etag] or is_known(self.etag.decode(), [value.decode("latin-1") for value in given])
        )

    def response(self, request_headers: Iterable[tuple[bytes, bytes]]) -> Response:
        known = self.known_to(request_headers)
        response = Response(b"" if known else self.body, 304 if known else 200)
        response.raw_headers = list(self.headers_304 if known else self.headers)
        return response


@dataclass(frozen=True, slots=True)
class Answer:
    """The weights of one event, in both encodings."""

    event_id: str
    plain: Representation
    gzip: Representation

    @classmethod
    def of(cls, event_id: str, body: bytes) -> Answer:
        return cls(event_id, Representation.of(body, is_gzip=False), Representation.of(body, is_gzip=True))

    def chosen(self, request_headers: Iterable[tuple[bytes, bytes]]) -> Representation:
        """In the encoding that the client takes."""
        for name, value in request_headers:
            if name == b"accept-encoding" and wants_gzip(value.decode("latin-1")):
                return self.gzip
        return self.plain


class LatestWeights:
    """The weights in force, as bytes."""

    def __init__(self, models: ReadModels, encode: Callable[[Weights], bytes]) -> None:
        self._models = models
        self._encode = encode
        self._answer: Answer | None = None
        self._compared_at = float("-inf")
        self._comparison: asyncio.Task[None] | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> Answer | None:
        """The answer, if it can be given without asking the database."""
        return self._answer if time.monotonic() - self._compared_at < FRESH_S else None

    async def now(self) -> Answer:
        """The answer, after a look at the database if that is due.

        Raises:
            Problem: there are no weights, or the database is away.
        """
        await self._compared()
        if self._answer is None:
            raise not_found("no-weights", NO_WEIGHTS)
        return self._answer

    async def other_than(self, answer: Answer) -> None:
        """Returns when there is something else than this answer; to be cancelled by who has waited enough."""
        if self._answer is not answer:
            return
        woken = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._compare_while_waited_for())
        try:
            await woken
        finally:
            self._waiting.discard(woken)

    def at_once(self, scope: Scope) -> tuple[int, RawHeaders, bytes] | None:
        """The answer to a plain request, past the framework, if it needs no look at the database."""
        if scope["path"] != PATH or scope.get("method") != "GET" or scope["query_string"]:
            return None
        if (answer := self.fresh) is None:
            return None
        chosen = answer.chosen(scope["headers"])
        if chosen.known_to(scope["headers"]):
            return 304, chosen.headers_304, b""
        return 200, chosen.headers, chosen.body

    async def close(self) -> None:
        """Ends the watch; who still waits is woken."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        self._wake()

    async def _compare_while_waited_for(self) -> None:
        while self._waiting:
            with contextlib.suppress(Problem):  # the database is away: who waits is told so when their time is over
                await self._compared()
            await asyncio.sleep(FRESH_S)

    def _wake(self) -> None:
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)

    async def _compared(self) -> None:
        if time.monotonic() - self._compared_at >= FRESH_S:
            if self._comparison is None or self._comparison.done():
                self._comparison = asyncio.create_task(self._compare())
            await asyncio.shield(self._comparison)

    async def _compare(self) -> None:
        started = time.monotonic()
        found = await self._models.ask(self._current)
        is_other, self._answer, self._compared_at = found is not self._answer, found, started
        if is_other:
            self._wake()

    async def _current(self, connection: AsyncConnection) -> Answer | None:
        event_id = await queries.latest_weights_event(connection)
        if self._answer is not None and self._answer.event_id == event_id:
            return self._answer
        weights = await queries.latest_weights(connection)
        return None if weights is None else Answer.of(weights.event_id, self._encode(weights))
