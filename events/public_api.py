"""One question to anybody's API: a bounded answer in bounded time, and what a refusal says.

NoAnswer    it cannot be reached, breaks off, or says more than was asked for
"""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
import orjson

from events.for_people import ForPeople

TIMEOUT_S = 30.0
PROBLEM_BYTES_MAX = 64 * 1024
PROBLEM_PREFIX = "urn:kinitro:problem:"


class NoAnswer(ForPeople):
    """It cannot be reached, breaks off, or says more than was asked for."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it refuses. Kinds: see `api/problems.py`."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    url: str
    status: int
    body: bytes

    @property
    def problem(self) -> Problem | None:
        """The refusal, if it is one of our API."""
        try:
            found = orjson.loads(self.body)
            kind, detail = str(found["type"]), str(found["detail"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        return Problem(kind.removeprefix(PROBLEM_PREFIX), detail) if kind.startswith(PROBLEM_PREFIX) else None

    @property
    def refusal(self) -> str:
        """For people, where it is not what was asked for."""
        if (problem := self.problem) is None:
            return f"{self.url} answered {self.status}, not as our API would; is --api-url right?"
        return f"{self.url} answered {self.status}: {problem.detail}"


async def ask(session: aiohttp.ClientSession, url: str, *, bytes_max: int) -> Answer:
    """The answer, whatever its status; redirects are not followed.

    Raises:
        NoAnswer: there is none.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with session.get(url, timeout=timeout, allow_redirects=False) as answer:
            return Answer(url, answer.status, await bounded(answer, bytes_max))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NoAnswer(f"{url}: {type(error).__name__}: {error}; is --api-url right?") from error


async def refused(answer: aiohttp.ClientResponse, url: str) -> Answer:
    """What a request came to that was to bring something long.

    Raises:
        ValueError, aiohttp.ClientError, TimeoutError: it says too much, or breaks off.
    """
    return Answer(url, answer.status, await bounded(answer, PROBLEM_BYTES_MAX))


async def bounded(answer: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """All of it.

    Raises:
        ValueError: it is longer.
    """
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > bytes_max:
            raise ValueError(f"the answer has more than {bytes_max} bytes")
    return bytes(body)
