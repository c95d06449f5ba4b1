"""Whole answers to `GET`: their strong ETag and 304, gzip, and how long they may be kept.

A strong ETag names bytes as they are sent (RFC 9110, 8.8.3), so what is sent as gzip has another one: `-gzip` is
appended to the hash of what it stands for, which is the same at every copy of the API, as compressed bytes need not
be. Streams pass as they are, and so does what has an ETag already.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http import caching
from api.http.encodings import gzipped, wants_gzip

GZIP_BYTES_MIN: Final = 1024
THREAD_BYTES_MIN: Final = 64 * 1024
"""What takes longer than a millisecond to compress is compressed in a thread."""
COMPRESSIBLE: Final = ("application/json", "application/x-ndjson", "text/", "application/vnd.aai.asyncapi+json")
OF_THE_BODY: Final = ("content-length", "content-type", "content-encoding")


def etag(body: bytes, *, is_gzip: bool) -> str:
    """The name of a body as it is sent."""
    return f'"{hashlib.sha256(body).hexdigest()}{"-gzip" if is_gzip else ""}"'


def is_known(tag: str, if_none_match: Iterable[str]) -> bool:
    """Whether the client has these bytes already; each value of `If-None-Match` is a list."""
    found = {each.strip().removeprefix("W/") for value in if_none_match for each in value.split(",")}
    return tag in found or "*" in found


class Representations:
    """Middleware. Bodies that come in one piece are held until their headers are known; they are whole anyway."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            return await self._app(scope, receive, send)
        start: Message | None = None

        async def send_represented(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None and message["type"] == "http.response.body":
                held, start = start, None
                body = await _represent(held, message, Headers(scope=scope))
                await send(held)
                message = {**message, "body": body}
            await send(message)

        return await self._app(scope, receive, send_represented)


async def _represent(start: Message, message: Message, request: Headers) -> bytes:
    """The body to send. `start` is changed to fit it."""
    headers = MutableHeaders(raw=start["headers"])
    start["headers"] = headers.raw
    body: bytes = message.get("body", b"")
    kept = headers.setdefault("Cache-Control", caching.ASK_AGAIN if start["status"] < 400 else caching.NEVER)
    if start["status"] != 200 or message.get("more_body") or "ETag" in headers or kept == caching.NEVER:
        return body
    is_gzip = False
    if len(body) >= GZIP_BYTES_MIN and headers.get("Content-Type", "").startswith(COMPRESSIBLE):
        headers.add_vary_header("Accept-Encoding")
        is_gzip = wants_gzip(",".join(request.getlist("Accept-Encoding")))
    headers["ETag"] = tag = etag(body, is_gzip=is_gzip)
    if is_known(tag, request.getlist("If-None-Match")):
        start["status"] = 304
        for name in OF_THE_BODY:
            del headers[name]
        return b""
    if not is_gzip:
        return body
    packed = gzipped(body) if len(body) < THREAD_BYTES_MIN else await asyncio.to_thread(gzipped, body)
    headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(packed))
    return packed
