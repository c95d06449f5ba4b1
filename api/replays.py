"""Which signed requests were accepted already: kept beside the log, so for all copies of the API, and over restarts.

Each nonce of a hotkey is a subject of its own on `KINITRO_REQUESTS`, written only where nothing stands there: of any
number that come at once, at whatever copy, the server takes one. Nothing is kept longer than a nonce could be used
again, by far, and no more than some bytes: when they are full, nobody is accepted until there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import structlog

from events import frames
from events.connection import Connection, NoAnswer, Refused
from events.ids import Hotkey
from events.log import Draft
from events.permissions import REQUESTS
from events.stream_settings import EVENTS
from events.streams import STREAM_EXISTS, STREAM_NOT_FOUND

KEPT_S: Final = 120
"""A nonce is good for 12 s by one clock; this bears two API machines whose clocks are a minute and a half apart."""
BYTES_MAX: Final = 16 * 1024 * 1024
"""About 80,000 requests."""

_TAKEN: Final = (10_071, 10_164)
_NS: Final = 10**9

logger = structlog.get_logger(__name__)


class Replays:
    """`connected` gives the present connection; it raises `LogUnavailable` while there is none."""

    def __init__(self, connected: Callable[[], Connection]) -> None:
        self._connected = connected
        self._is_there = False

    async def take(self, hotkey: Hotkey, nonce_ns: int) -> bool:
        """Whether this is the first time. Whoever gets no answer must not be accepted.

        Raises:
            LogUnavailable: not connected yet.
            NatsError: no answer, or no room: it may have been taken.
        """
        connection = self._connected()
        if not self._is_there:
            await ensure_requests(connection)
            self._is_there = True
        taken = [Draft(f"request.{hotkey}.{nonce_ns}", uuid4().hex, b"")]
        try:
            await connection.ask(lambda reply: frames.append(taken, reply))
        except NoAnswer:
            self._is_there = False  # also what comes where somebody has deleted the stream
            raise
        except Refused as error:
            if error.code in _TAKEN:
                return False
            logger.warning("signed requests cannot be remembered", reason=str(error))
            raise
        return True


def settings(replicas: int) -> dict[str, Any]:
    """The stream. As many copies as the log has."""
    return {
        "name": REQUESTS,
        "subjects": ["request.>"],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_age": KEPT_S * _NS,
        "max_bytes": BYTES_MAX,
        "max_msg_size": 1_024,
        "duplicate_window": _NS,
        "num_replicas": replicas,
    }


async def ensure_requests(connection: Connection) -> None:
    """The stream is there when this returns. On a server with an account per role, the scheduler creates it.

    Raises:
        NatsError: no answer, or the server does not accept it.
    """
    try:
        await connection.api(f"STREAM.INFO.{REQUESTS}")
    except Refused as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        info = await connection.api(f"STREAM.INFO.{EVENTS}")
        try:
            await connection.api(f"STREAM.CREATE.{REQUESTS}", settings(info["config"]["num_replicas"]))
        except Refused as reason:
            if reason.code != STREAM_EXISTS:  # with other limits: an older or a newer copy has made it
                raise
