"""What a backend says of a miner: the newest entries of its file."""

from __future__ import annotations

from datetime import datetime

import aiohttp
import orjson
from pydantic import BaseModel, ValidationError

from events.for_people import ForPeople
from events.ids import Hotkey

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 1 << 20
ENTRIES = 10


class BackendTrouble(ForPeople):
    """The backend does not answer, or not as one does."""


class Entry(BaseModel):
    """Of `GET /v1/miners/{hotkey}/history`. What does not apply is None."""

    sequence: int
    time: datetime
    kind: str
    cycle_id: int | None = None
    episode_id: str | None = None
    success: bool | None = None
    code: str | None = None
    detail: str | None = None
    weight: str | None = None


class History(BaseModel):
    """One page."""

    history: list[Entry]


async def newest_entries(base_url: str, hotkey: Hotkey) -> list[Entry]:
    """At most `ENTRIES`, the newest first; none where the backend has never heard of the miner.

    Raises:
        BackendTrouble
    """
    url = f"{base_url.rstrip('/')}/v1/miners/{hotkey}/history"
    status, body = await _get(url)
    try:
        if status == 200:
            return History.model_validate_json(body).history
        problem = orjson.loads(body)
        if str(problem["type"]).endswith("unknown-miner"):
            return []
        raise BackendTrouble(f"{url} answered {status}: {problem['detail']}")
    except (ValidationError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise BackendTrouble(f"{url} answered {status}, not as a backend does; is --backend-url right?") from error


async def _get(url: str) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, params={"limit": ENTRIES}, allow_redirects=False) as answer,
        ):
            body = b""
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise BackendTrouble(f"{url} answered with more than {ANSWER_BYTES_MAX} bytes")
            return answer.status, body
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise BackendTrouble(f"{url}: {type(error).__name__}: {error}; is --backend-url right?") from error


def line(entry: Entry) -> str:
    """For a terminal."""
    about = entry.episode_id or (f"cycle {entry.cycle_id}" if entry.cycle_id is not None else "")
    success = {True: "success", False: "no success", None: ""}[entry.success]
    weight = f"weight {entry.weight}" if entry.weight is not None else ""
    said = ": ".join(part for part in (entry.code, entry.detail) if part)
    parts = (f"{entry.time:%Y-%m-%d %H:%M:%S}", f"{entry.kind:<19}", about, success, weight, said)
    return "  ".join(part for part in parts if part).rstrip()
