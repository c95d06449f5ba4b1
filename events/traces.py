"""Recordings of episodes on `KINITRO_TRACES`. They are no facts: an outcome stands without its recording.

TraceError
├── TraceNotKept        a recording could not be stored; the message says why
└── TracesUnavailable   no answer in time; ask again
"""

from __future__ import annotations

from events import frames, lookup, subjects
from events.connection import Connection, NatsError, NoAnswer, Refused
from events.stream_settings import TRACE_BYTES_MAX, TRACES
from events.streams import STREAM_NOT_FOUND
from events.subjects import OfEpisode

KEEP_PATIENCE_S = 15.0
"""A server that restarts is away for a few seconds, a cluster that lost its leader for up to 9."""
FETCH_PATIENCE_S = 10.0
NS_PER_HOUR = 3600 * 10**9


class TraceError(Exception):
    """A recording could not be stored or fetched."""


class TraceNotKept(TraceError):
    """Nobody will be able to replay this episode."""


class TracesUnavailable(TraceError):
    """No answer in time; ask again."""


class TraceStore:
    """Recordings as bytes: what they mean is the simulation's business (`sim/record.py`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(
        self,
        key: OfEpisode,
        attempt: int,
        action_digest: str,
        body: bytes,
        *,
        patience_s: float = KEEP_PATIENCE_S,
    ) -> None:
        """Returns once the recording is on disk. Repeating it is harmless.

        Raises:
            TraceNotKept: the server refuses it, or does not answer in time.
        """
        subject = subjects.trace(key, attempt, action_digest)
        if len(body) > TRACE_BYTES_MAX:
            raise TraceNotKept(f"{subject}: {len(body)} bytes, the limit is {TRACE_BYTES_MAX}")
        try:
            await lookup.until_answered(
                lambda: self._connection.ask(lambda reply: frames.request(subject, reply, body)), patience_s
            )
        except Refused as error:
            raise TraceNotKept(f"{subject}: {len(body)} bytes refused: {error}") from error
        except NoAnswer as error:
            raise TraceNotKept(f"{subject}: no answer in {patience_s:g} s: {error}") from error

    async def fetch(
        self, key: OfEpisode, attempt: int, action_digest: str, *, patience_s: float = FETCH_PATIENCE_S
    ) -> bytes | None:
        """The recording; None if there is none, or no longer.

        Raises:
            TracesUnavailable: no answer in time.
        """
        subject = subjects.trace(key, attempt, action_digest)
        which = {"last_by_subj": subject}
        try:
            found = await lookup.until_answered(
                lambda: lookup.message(self._connection, which, stream=TRACES), patience_s
            )
        except Refused as error:
            if error.code == STREAM_NOT_FOUND:
                return None
            raise TracesUnavailable(f"{subject}: {error}") from error
        except NoAnswer as error:
            raise TracesUnavailable(f"{subject}: no answer in {patience_s:g} s: {error}") from error
        return found.stored.body if found else None

    async def age_hours_max(self) -> float | None:
        """How long recordings are kept, as far as it can be learned now; None where none are."""
        try:
            info = await self._connection.api(f"STREAM.INFO.{TRACES}")
        except NatsError:
            return None
        return int(info["config"]["max_age"]) / NS_PER_HOUR or None
