"""A backend, asked over HTTP: its newest weights, what is signed of a cycle, and with which keys.

BackendAway     it does not answer, or not as our API would
└── NotFound    it answers that there is no such thing
"""

from __future__ import annotations

import asyncio
import random
from http import HTTPStatus
from time import monotonic
from typing import Final

import aiohttp

from events.for_people import ForPeople
from events.ids import CycleId

LATEST: Final = "/v1/weights/latest"
TIMEOUT_S: Final = 30.0
"""For an answer that need not be waited for."""
WAIT_S: Final = 30
"""How long one request waits for newer weights; our API waits up to 60 s."""
ANSWER_S: Final = 1.0
"""An answer to a request that waits, sooner than this, is of a backend that does not know how to wait. And so much
of a pause is left for the answer to come."""
AGAIN_S: Final = 1.0
"""The first pause after a wait was broken off; then twice as long each time."""
RETRY_AFTER_S_MAX: Final = 600
"""No backend keeps us away for longer."""
BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one answer; a statement of 256 miners has 40 kB."""


class BackendAway(ForPeople):
    """The backend does not answer, or not as our API would. Its events may be had elsewhere, or later."""


class NotFound(BackendAway):
    """The backend answers that there is no such thing, or not yet."""


class Backend:
    """One of those that were named. Redirects are not followed: who moved says so to people.

    While a backend wants us to come back later (`Retry-After`) it is not asked.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, *, wait_s: int = WAIT_S) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self._wait_s = wait_s
        """How long one request may wait for newer weights; 0 where time is not the wall clock's."""
        self._latest: tuple[bytes, str | None] | None = None
        self._closed_until = float("-inf")
        """Of the monotonic clock."""

    @property
    def closed_s(self) -> float:
        """For how many seconds more it does not want to be asked."""
        return max(0.0, self._closed_until - monotonic())

    async def latest(self) -> tuple[bytes, str | None] | None:
        """The newest weights and their ETag; the bytes come only when they are new. None: there are none yet.

        Raises:
            BackendAway: see the class.
        """
        return await self._asked()

    async def newer(self, within_s: float) -> bool:
        """Whether there are other weights than the last that came; waits for them, but not longer than this.

        False sooner where waiting is of no use: there were no weights yet, or the backend does not know how to wait.
        A wait that is broken off, as by a restart of the backend, is begun again after a pause.
        """
        known, end, again_s = self._latest, monotonic() + within_s, AGAIN_S
        if known is None or known[1] is None:
            return False
        while (wait_s := min(self._wait_s, int(end - monotonic() - ANSWER_S))) >= 1:
            asked = monotonic()
            try:
                if await self._asked(wait_s) != known:
                    return True
            except BackendAway:
                pass  # whoever looks next tells of it, if it lasts
            else:
                if monotonic() - asked < ANSWER_S:
                    return False
            await asyncio.sleep(max(again_s * random.uniform(0.5, 1.0), self.closed_s))
            again_s *= 2
        return False

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

    async def _asked(self, wait_s: int = 0) -> tuple[bytes, str | None] | None:
        etag = self._latest[1] if self._latest else None
        path = LATEST + (f"?wait={wait_s}" if wait_s else "")
        try:
            status, body, found = await self._get(path, {"If-None-Match": etag} if etag else {}, wait_s)
        except NotFound:
            self._latest = None
            return None
        if status != HTTPStatus.NOT_MODIFIED:
            self._latest = body, found
        return self._latest

    async def _get(
        self, path: str, headers: dict[str, str] | None = None, wait_s: int = 0
    ) -> tuple[int, bytes, str | None]:
        url = f"{self.url}{path}"
        if self.closed_s:
            raise BackendAway(
                f"{self.url} has no answer for us now, and said when to ask again (Retry-After); so we do"
            )
        try:
            async with (
                asyncio.timeout(wait_s + TIMEOUT_S),
                self.session.get(url, headers=headers, allow_redirects=False) as answer,
            ):
                body = await _bounded(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise BackendAway(f"{url}: {type(error).__name__}: {error}; is --backend-url right?") from error
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"{url} answered 404: {body[:300].decode(errors='replace')}")
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            self._closed_until = monotonic() + _retry_after_s(answer.headers.get("Retry-After"))
            asks_less = answer.status == HTTPStatus.TOO_MANY_REQUESTS
            remedy = "it is asked again later" if asks_less else "is it an API of ours, and healthy?"
            raise BackendAway(f"{url} answered {answer.status}, expected 200; {remedy}")
        return answer.status, body, answer.headers.get("ETag")


def _retry_after_s(header: str | None) -> int:
    """A number of seconds; the other form, a date, is not taken from a clock that is not ours."""
    if header is None or not (header.isascii() and header.isdigit()):
        return 0
    return min(int(header[:10]), RETRY_AFTER_S_MAX)


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > BYTES_MAX:
            raise ValueError(f"more than {BYTES_MAX} bytes: this is no answer of our API")
    return bytes(body)
