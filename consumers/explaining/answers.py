"""What anybody's API answers to the questions of these commands."""

from __future__ import annotations

from typing import TypeVar

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError

from events.cli import Misused

API_TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024

A = TypeVar("A", bound=BaseModel)


async def ask(session: aiohttp.ClientSession, url: str, kind: type[A]) -> A:
    """The answer.

    Raises:
        Misused: there is none: the API's own reason, or that this is no API of ours.
    """
    timeout = aiohttp.ClientTimeout(total=API_TIMEOUT_S)
    try:
        async with session.get(url, timeout=timeout, allow_redirects=False) as answer:
            status, body = answer.status, await answer.content.read(ANSWER_BYTES_MAX)
            while not answer.content.at_eof() and len(body) < ANSWER_BYTES_MAX:
                body += await answer.content.read(ANSWER_BYTES_MAX - len(body))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Misused(f"{url}: {type(error).__name__}: {error}; is --api-url right?") from error
    try:
        if status == 200:
            return kind.model_validate_json(body)
        raise Misused(str(orjson.loads(body)["detail"]))
    except (ValidationError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Misused(f"{url} answered {status}, not as our API would; is --api-url right?") from error
