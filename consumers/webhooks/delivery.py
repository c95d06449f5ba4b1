"""One attempt to deliver one event to one endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from consumers.webhooks.signature import headers

TIMEOUT_S = 20.0
"""From connecting to the head of the answer."""
HEADER_BYTES_MAX = 8_190
"""Of each header of the answer. Its body is not read."""
HTTP_GONE = 410


class Result(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    """Any status 2xx."""
    FAILED = "failed"
    """To be tried again: any other status, a redirect too, or no answer in time."""
    GONE = "gone"
    """410: this endpoint wants no more."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended, and why it failed where it did."""

    result: Result
    detail: str = ""


class Endpoint:
    """A receiver, over connections of its own: `async with Endpoint(...) as endpoint`."""

    def __init__(
        self, url: str, secret: bytes, *, timeout_s: float = TIMEOUT_S, now_s: Callable[[], float] = time.time
    ) -> None:
        """`url` is http or https; what it has beside scheme and host may be secret, and is in no message."""
        self._url = URL(url)
        self._secret = secret
        self._timeout_s = timeout_s
        self._now_s = now_s
        self.place = f"{self._url.scheme}://{self._url.host}:{self._url.port}"
        """What may be said of it."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def deliver(self, identity: str, body: bytes) -> Attempt:
        """Sends the event's own bytes once."""
        signed = headers(self._secret, identity, int(self._now_s()), body)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json", "User-Agent": "kinitro", **signed},
                allow_redirects=False,
            ) as response:
                status = response.status
                response.close()
        except TimeoutError:
            return Attempt(Result.FAILED, f"no answer in {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Attempt(Result.FAILED, type(error).__name__)
        if 200 <= status < 300:
            return Attempt(Result.DELIVERED)
        return Attempt(Result.GONE if status == HTTP_GONE else Result.FAILED, f"status {status}")
