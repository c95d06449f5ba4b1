"""Long polls: `?wait=30` with `If-None-Match` is answered once there is something else, or when the time is over."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import Query, Request
from starlette.responses import Response

from api.connections import disconnected
from api.dependencies import Resources

WAIT_S_MAX: Final = 60

Wait = Annotated[
    int,
    Query(
        alias="wait",
        ge=0,
        le=WAIT_S_MAX,
        description="with `If-None-Match`: for how many seconds at most to wait for something else",
    ),
]


async def latest_other_than_known(resources: Resources, request: Request, wait_s: int) -> Response:
    """The weights in force, once they are others than the client has, or have been the same for `wait_s` seconds.

    Raises:
        Problem: there are none, or the database is away.
    """
    latest, headers = resources.latest, request.headers.raw
    answer = await latest.now()
    if wait_s and answer.chosen(headers).known_to(headers):
        waits = latest.other_than(answer), disconnected(request.receive), resources.stopping.wait()
        await _first({asyncio.ensure_future(wait) for wait in waits}, wait_s)
        answer = await latest.now()
    return answer.chosen(headers).response(headers)


async def _first(tasks: set[asyncio.Task[Any]], timeout_s: float) -> None:
    """Returns when one of them is done, or the time is over."""
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
