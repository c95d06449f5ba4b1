"""Questions to the leader of the log's stream, and patience with it.

Never a direct get: those are answered by any replica, and one that lags behind does not know our own last write.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from events.connection import Connection, Forbidden, NoAnswer, Refused
from events.frames import ID_HEADER
from events.log import AccessDenied, LogError, LogUnavailable, Stored, StreamMismatch
from events.patience import Patience
from events.stream_settings import EVENTS, LOG_ID
from events.streams import STREAM_NOT_FOUND

T = TypeVar("T")

NO_MESSAGE = 10_037


@dataclass(frozen=True, slots=True)
class Found:
    """A stored event with the id that its writer gave it; empty if a stranger wrote it."""

    stored: Stored
    id: str


@dataclass(frozen=True, slots=True)
class Head:
    """Which log this is, and how far it goes."""

    identity: str
    last_sequence: int


async def message(connection: Connection, which: Mapping[str, Any], *, stream: str = EVENTS) -> Found | None:
    """The message `{"seq": n}`, or `{"last_by_subj": filter}`.

    Raises:
        NoAnswer, Refused: as `Connection.ask`.
    """
    try:
        answer = await connection.api(f"STREAM.MSG.GET.{stream}", which)
    except Refused as error:
        if error.code == NO_MESSAGE:
            return None
        raise
    found = answer["message"]
    stored = Stored(int(found["seq"]), found["subject"], base64.b64decode(found.get("data", "")))
    return Found(stored, _id_in(base64.b64decode(found.get("hdrs", ""))))


async def head(connection: Connection) -> Head:
    """The state of the stream.

    Raises:
        NoAnswer, Refused: as `Connection.ask`.
        StreamMismatch: the stream is not of our making.
    """
    info = await connection.api(f"STREAM.INFO.{EVENTS}")
    identity = (info["config"].get("metadata") or {}).get(LOG_ID)
    if identity is None:
        raise StreamMismatch(
            f"metadata: stream {EVENTS} has no {LOG_ID}, so we did not create it: use another server"
        )
    return Head(identity, int(info["state"]["last_seq"]))


async def until_answered(call: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """Repeats a question until it is answered.

    Raises:
        NoAnswer: it was not, in `patience_s` seconds.
        Refused: the answer is an error.
    """
    patience = Patience(patience_s)
    while True:
        try:
            return await call()
        except NoAnswer:
            if not await patience.pause():
                raise


async def patiently(call: Callable[[], Awaitable[T]], patience_s: float) -> T:
    """As `until_answered`, of the log.

    Raises:
        LogUnavailable: it was not answered in `patience_s` seconds.
        StreamMismatch: there is no such stream.
    """
    try:
        return await until_answered(call, patience_s)
    except NoAnswer as error:
        raise LogUnavailable(f"the log has not answered in {patience_s:g} s: {error}") from error
    except Refused as error:
        raise refusal(error) from error


def refusal(error: Refused) -> LogError:
    """What it means for the log that JetStream refused a question."""
    if error.code == STREAM_NOT_FOUND:
        return StreamMismatch(f"there is no stream {EVENTS}: start the backend, which creates it, or restore it")
    if isinstance(error, Forbidden):
        return AccessDenied(str(error))
    return LogUnavailable(f"JetStream refused: {error}")


def _id_in(headers: bytes) -> str:
    name = f"{ID_HEADER}:".encode()
    for line in headers.split(b"\r\n"):
        if line.startswith(name):
            return line[len(name) :].strip().decode()
    return ""
