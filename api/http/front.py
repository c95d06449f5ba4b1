"""The outermost of the application: what every answer has, also one that went wrong.

Request ids, the headers for pages of other origins, limits per client, `OPTIONS`, and `HEAD`, which is a `GET` whose
body is not sent. The handshake of a WebSocket is a request like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http import cors, request_ids
from api.http.rate_limits import RateLimits, Ruling
from api.problems import Problem

ASKED: Final = "kinitro.asked"
"""In the scope of a `HEAD` that is answered as a `GET`: the method that was asked for."""

STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""Messages that have the headers of an answer."""

AtHand = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]
"""Status, headers and body."""


class Front:
    """Middleware around everything else. What is at hand is sent past all the rest."""

    def __init__(self, app: ASGIApp, limits: RateLimits, at_once: Callable[[Scope], AtHand | None]) -> None:
        self._app, self._limits, self._at_once = app, limits, at_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        request_id = request_ids.bind(scope["headers"])
        ruling = self._limits.rule(scope["client"])
        headers = ((request_ids.HEADER, request_id), *cors.HEADERS, *ruling.headers)
        if ruling.retry_after_s is None and (found := self._at_once(scope)) is not None:
            status, more, body = found
            await send({"type": "http.response.start", "status": status, "headers": [*more, *headers]})
            return await send({"type": "http.response.body", "body": body})

        async def send_with_headers(message: Message) -> None:
            if message["type"] in STARTS:
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if ruling.retry_after_s is not None:
            return await _too_many(ruling).response(scope["path"])(scope, receive, send_with_headers)
        method = scope.get("method")  # a WebSocket has none
        if method == "HEAD":
            return await _head(self._app, scope, receive, send_with_headers)
        if method == "OPTIONS":
            return await cors.options()(scope, receive, send_with_headers)
        return await self._app(scope, receive, send_with_headers)


async def _head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """A stream ends with its first piece: once the answer is complete, `receive` says that the client has gone."""
    is_complete = False

    async def send_head(message: Message) -> None:
        nonlocal is_complete
        if message["type"] == "http.response.start":
            await send(message)
        elif not is_complete:
            is_complete = True
            await send({"type": "http.response.body", "body": b""})

    await app({**scope, "method": "GET", ASKED: "HEAD"}, receive, send_head)


def _too_many(ruling: Ruling) -> Problem:
    detail = f"this address asks more than is answered; try again in {ruling.retry_after_s} s"
    headers = {"Retry-After": str(ruling.retry_after_s)}
    return Problem(429, "too-many-requests", "Too many requests", detail, headers=headers)
