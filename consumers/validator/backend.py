"""A backend, asked over HTTP: its newest weights, what is signed of a cycle, and with which keys.

BackendAway     it does not answer, or not as our API would
└── NotFound    it answers that there is no such thing
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from events.for_people import ForPeople
from events.ids import CycleId

TIMEOUT_S: Final = 30.0
BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one answer; a statement of 256 miners has 40 kB."""


class BackendAway(ForPeople):
    """The backend does not answer, or not as our API would. Its events may be had elsewhere, or later."""


class NotFound(BackendAway):
    """The backend answers that there is no such thing, or not yet."""


class Backend:
    """One of those that were named. Redirects are not followed: who moved says so to people."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self._latest: tuple[bytes, str | None] | None = None

    async def latest(self) -> tuple[bytes, str | None] | None:
        """The newest weights and their ETag; the bytes come only when they are new. None: there are none yet.

        Raises:
            BackendAway: see the class.
        """
        etag = self._latest[1] if self._latest else None
        try:
            status, body, found = await self._get("/v1/weights/latest", {"If-None-Match": etag} if etag else {})
        except NotFound:
            self._latest = None
            return None
        if status != 304:
            self._latest = body, found
        return self._latest

    async def signed_weights(self, cycle: CycleId) -> bytes:
        """What is signed of a cycle.

        Raises:
            BackendAway, NotFound: see the classes.
        """
        return (await self._get(f"/v1/cycles/{cycle}/weights/signed"))[1]

    async def identity(self) -> bytes:
        """The keys that were announced.

        Raises:
            BackendAway, NotFound: see the classes.
        """
        return (await self._get("/v1/identity"))[1]

    async def _get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, str | None]:
        url = f"{self.url}{path}"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self.session.get(url, headers=headers, allow_redirects=False) as answer,
            ):
                body = await _bounded(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BackendAway(f"{url}: {type(error).__name__}: {error}; is --backend-url right?") from error
        if answer.status == 404:
            raise NotFound(f"{url} answered 404: {body[:300].decode(errors='replace')}")
        if answer.status not in (200, 304):
            raise BackendAway(f"{url} answered {answer.status}, expected 200; is it an API of ours, and healthy?")
        return answer.status, body, answer.headers.get("ETag")


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX} bytes: this is no answer of our API")
    return bytes(body)
