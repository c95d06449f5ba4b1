"""What the API reads from: the read models and the log. Both may be away when it starts, and come back later."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.problems import Problem, log_unavailable
from api.settings import ApiSettings
from events.connection import Connection, connect
from events.ids import EpisodeKey
from events.jetstream import UNAPPENDED, UNAPPENDED_S, JetStreamLog
from events.log import AccessDenied, EventLog, LogUnavailable
from events.traces import TraceStore, TracesUnavailable
from projectors.database import DRIVER_ERRORS, NO_SUCH_TABLE, open_engine, refuses_the_data, sqlstate

T = TypeVar("T")

CONNECTIONS_MAX = 10
EXPORTS_MAX = 8
"""How many go on at once. Each may hold two pull requests' worth of events."""

RECONNECT_S = 1.0
CACHED_PLAN_CHANGED = "0A000"
"""A rebuild has swapped in tables with other columns; asking again prepares the statement anew."""

logger = structlog.get_logger(__name__)


class ReadModels:
    """PostgreSQL, as far as an answer needs it."""

    def __init__(self, settings: ApiSettings) -> None:
        self.engine: AsyncEngine = open_engine(
            settings.database_url,
            role="api",
            command_timeout_s=settings.database_timeout_s,
            connections_max=CONNECTIONS_MAX,
        ).execution_options(isolation_level="AUTOCOMMIT")
        self._timeout_s = settings.database_timeout_s
        self._answers = True

    async def ask(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `query` returns, within the time-out.

        Each statement sees what is committed when it starts. A snapshot over several would be wrong here: while a
        rebuild swaps tables, it would look for its rows in tables that are younger than itself.

        Raises:
            Problem: PostgreSQL does not answer, or has no read models.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    return await self._ask(query)
                except DRIVER_ERRORS as error:
                    if sqlstate(error) != CACHED_PLAN_CHANGED:
                        raise
                    return await self._ask(query)
        except DRIVER_ERRORS as error:
            if refuses_the_data(error):
                raise  # our mistake: no parameter that gets this far may be one that PostgreSQL refuses
            raise self._unavailable(error) from error

    async def close(self) -> None:
        await self.engine.dispose()

    def _unavailable(self, error: BaseException) -> Problem:
        retry = {"Retry-After": "1"}
        if sqlstate(error) in NO_SUCH_TABLE:
            detail = "the database has no read models yet: start a projector, or run kinitro db init"
            return Problem(503, "read-models-missing", "Not ready", detail, headers=retry)
        if self._answers:
            self._answers = False
            logger.warning("the database is away", error=type(error).__name__, detail=str(error)[:200])
        detail = f"PostgreSQL did not answer within {self._timeout_s:g} s; try again"
        return Problem(503, "database-unavailable", "Database unavailable", detail, headers=retry)

    async def _ask(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self.engine.connect() as connection:
            found = await query(connection)
        if not self._answers:
            self._answers = True
            logger.info("the database is there again")
        return found


@dataclass(frozen=True, slots=True)
class Recording:
    """Of an episode, as it was stored."""

    body: bytes | None
    """None if there is none, or no longer."""
    kept_hours: float | None
    """How long recordings are kept, where there is none and any are."""


class LogWatch:
    """The end of the log, and the recordings beside it. A task connects, however long that takes."""

    def __init__(self, settings: ApiSettings) -> None:
        self._url = settings.nats_url
        self._timeout_s = settings.log_timeout_s
        self._connection: Connection | None = None
        self._reason = "not connected yet"
        self._unappended_s = -float("inf")
        """When somebody told that the log takes no appends."""
        self.exports = asyncio.Semaphore(EXPORTS_MAX)
        """A slot for each export that may be under way."""
        self._connecting = asyncio.create_task(self._connect())

    @property
    def takes_appends(self) -> bool:
        """Whether nobody has complained of late. What is in the log can be read all the same."""
        return time.monotonic() - self._unappended_s > UNAPPENDED_S

    async def last_sequence(self) -> int:
        """The position of the newest event.

        Raises:
            LogUnavailable: no answer in time.
        """
        log = self.opened(self._timeout_s)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await log.last_sequence()
        except TimeoutError:
            raise LogUnavailable(f"the log did not answer in {self._timeout_s:g} s") from None

    async def recording(self, key: EpisodeKey, attempt: int, action_digest: str) -> Recording:
        """What was recorded of an attempt, if it is still kept.

        Raises:
            Problem: NATS does not answer in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._recording(key, attempt, action_digest)
        except (TracesUnavailable, TimeoutError) as error:
            raise log_unavailable(self._timeout_s) from error

    async def _recording(self, key: EpisodeKey, attempt: int, action_digest: str) -> Recording:
        if self._connection is None:
            raise TracesUnavailable(self._reason)
        traces = TraceStore(self._connection)
        body = await traces.fetch(key, attempt, action_digest, patience_s=self._timeout_s)
        return Recording(body, None if body else await traces.age_hours_max())

    async def ask(self, query: Callable[[EventLog], Awaitable[T]], *, timeout_s: float | None = None) -> T:
        """What `query` finds in the log, within `timeout_s` seconds; as configured when None.

        Raises:
            Problem: NATS does not answer in time.
        """
        patience_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(patience_s):
                return await query(self.opened(patience_s))
        except (LogUnavailable, TimeoutError) as error:
            raise log_unavailable(patience_s) from error

    async def close(self) -> None:
        self._connecting.cancel()
        await asyncio.wait({self._connecting})
        if self._connection is not None:
            with contextlib.suppress(TimeoutError):
                await self._connection.close()

    def opened(self, patience_s: float) -> EventLog:
        """The log, to be read for longer than the time-out of an answer.

        Raises:
            LogUnavailable: not connected yet.
        """
        return JetStreamLog(self.connected(), patience_s=patience_s)

    def connected(self) -> Connection:
        """The connection, for what is no event.

        Raises:
            LogUnavailable: not connected yet.
        """
        if self._connection is None:
            raise LogUnavailable(self._reason)
        return self._connection

    async def _connect(self) -> None:
        tries = 0
        while self._connection is None:
            try:
                self._connection = await connect(self._url, "api", timeout_s=self._timeout_s)
            except (LogUnavailable, AccessDenied) as error:
                self._reason, tries = str(error), tries + 1
                if tries == 1:
                    logger.warning("the log is away", reason=self._reason)
                await asyncio.sleep(RECONNECT_S * random.uniform(0.5, 1.5))
        await self._connection.client.subscribe_directly(UNAPPENDED, self._on_unappended)

    def _on_unappended(self, *_: bytes) -> None:
        self._unappended_s = time.monotonic()
