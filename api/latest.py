"""`GET /v1/weights/latest` from memory: the bytes are made once per event, not once per request.

How stale can they be? Before an answer is given, the bytes must have been compared with the database less than
`FRESH_S` ago, by the id of the event that they were made from; else that is done first. All requests that need a
comparison wait for the same one. While PostgreSQL is away there is no answer but 503. So an answer is never more than
`FRESH_S`, and the time of one query, behind the read model; how far that is behind the log, `/readyz` tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import not_found
from api.sources import ReadModels
from projectors.weights import queries
from projectors.weights.queries import Weights

PATH = "/v1/weights/latest"
FRESH_S = 0.25
NO_WEIGHTS = "no cycle has given weights yet"


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes that are ready to be sent, and the strong ETag that names them."""

    event_id: str
    body: bytes
    etag: bytes
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, event_id: str, body: bytes) -> Answer:
        etag = f'"{hashlib.sha256(body).hexdigest()}"'.encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"etag", etag),
            (b"cache-control", b"no-cache"),
        ]
        return cls(event_id, body, etag, headers)

    def known_to(self, request_headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether the client has these bytes already (`If-None-Match`)."""
        for name, value in request_headers:
            if name == b"if-none-match":
                tags = [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
                return self.etag in tags or b"*" in tags
        return False


class LatestWeights:
    """The weights in force, as bytes."""

    def __init__(self, models: ReadModels, encode: Callable[[Weights], bytes]) -> None:
        self._models = models
        self._encode = encode
        self._answer: Answer | None = None
        self._compared_at = float("-inf")
        self._comparison: asyncio.Task[None] | None = None

    @property
    def fresh(self) -> Answer | None:
        """The answer, if it can be given without asking the database."""
        return self._answer if time.monotonic() - self._compared_at < FRESH_S else None

    async def response(self, request_headers: Iterable[tuple[bytes, bytes]]) -> Response:
        """The answer, after a look at the database if that is due.

        Raises:
            Problem: there are no weights, or the database is away.
        """
        if time.monotonic() - self._compared_at >= FRESH_S:
            if self._comparison is None or self._comparison.done():
                self._comparison = asyncio.create_task(self._compare())
            await asyncio.shield(self._comparison)
        if self._answer is None:
            raise not_found("no-weights", NO_WEIGHTS)
        known = self._answer.known_to(request_headers)
        response = Response(b"" if known else self._answer.body, 304 if known else 200)
        response.raw_headers = _without_length(self._answer) if known else list(self._answer.headers)
        return response

    async def _compare(self) -> None:
        started = time.monotonic()
        self._answer = await self._models.ask(self._current)
        self._compared_at = started

    async def _current(self, connection: AsyncConnection) -> Answer | None:
        event_id = await queries.latest_weights_event(connection)
        if self._answer is not None and self._answer.event_id == event_id:
            return self._answer
        weights = await queries.latest_weights(connection)
        return None if weights is None else Answer.of(weights.event_id, self._encode(weights))


class LatestWeightsFirst:
    """Middleware that sends fresh bytes past the framework. Whatever is not plain goes on to the route."""

    def __init__(self, app: ASGIApp, latest: Callable[[], LatestWeights]) -> None:
        self._app = app
        self._latest = latest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET" or scope["query_string"]:
            return await self._app(scope, receive, send)
        answer = self._latest().fresh
        if answer is None or answer.known_to(scope["headers"]):
            return await self._app(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
        return None


def _without_length(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [header for header in answer.headers if header[0] != b"content-length"]
