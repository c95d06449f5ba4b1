"""What anybody's API answers to the questions of these commands."""

from __future__ import annotations

from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from events import public_api
from events.cli import Misused

ANSWER_BYTES_MAX = 16 * 1024 * 1024

A = TypeVar("A", bound=BaseModel)


async def ask(session: aiohttp.ClientSession, url: str, kind: type[A]) -> A:
    """The answer.

    Raises:
        NoAnswer: there is none.
        Misused: it refuses, and says why; or it is no API of ours.
    """
    answer = await public_api.ask(session, url, bytes_max=ANSWER_BYTES_MAX)
    if answer.status != 200:
        raise Misused(answer.problem.detail if answer.problem else answer.refusal)
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError as error:
        raise Misused(answer.refusal) from error
