"""What the command line asks of the read models. Each call opens and closes its own connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from events.ids import CycleId
from events.log import EventLog, LogError
from projectors import schemas
from projectors.bulk import folders_for
from projectors.checkpoint import Checkpoint
from projectors.cycles import queries as cycles
from projectors.database import DRIVER_ERRORS, open_engine, unavailable
from projectors.miners import queries as miners
from projectors.passes import Projected
from projectors.projector import Projection
from projectors.replay import Replay
from projectors.runner import Runner
from projectors.topics import PROJECTIONS
from projectors.weights import queries as weights
from projectors.weights.queries import Weights

WRITE_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 5.0
REPLAY_TIMEOUT_S = 3600.0
"""Copying or comparing all rows of a table is one command."""
REPLAY_CONNECTIONS = 4 * len(PROJECTIONS)
"""For each one that holds its lock and one that writes, and a few to look with."""


@dataclass(frozen=True, slots=True)
class ProjectionStatus:
    """Where one projection stands. `lag` is in events, None where the log was not asked."""

    name: str
    version: int | None
    """None where it does not exist yet."""
    sequence: int
    lag: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """What is in the read models, and how far they are behind the log."""

    log_last_sequence: int | None
    projections: list[ProjectionStatus]
    total_cycles: int
    miners_evaluated: int
    latest_completed_cycle: CycleId | None
    running_cycle: CycleId | None
    latest_weights: Weights | None


async def run_projectors(
    log: EventLog, database_url: str, *, stop: asyncio.Event, told: Sequence[Projected] = ()
) -> None:
    """Keeps all read models up to the log until `stop` is set; waits for either if it is away.

    Raises:
        LogReplaced: the log is not the one that was projected; the remedy is in the message.
        BadDatabaseUrl: not a URL of PostgreSQL.
    """
    async with _engine(database_url, WRITE_TIMEOUT_S) as engine:
        await Runner(log, engine, PROJECTIONS, stop, told, folders_for(database_url)).run()


@asynccontextmanager
async def replaying(
    log: EventLog, database_url: str, projections: Sequence[Projection], *, kept: int = 0, other_log: bool = False
) -> AsyncIterator[Replay]:
    """A replay of these read models, for as long as this is open; see `projectors.replay`.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, or there is no such database.
    """
    async with (
        _engine(database_url, REPLAY_TIMEOUT_S, connections_max=REPLAY_CONNECTIONS) as engine,
        _translating(database_url),
    ):
        folders = folders_for(database_url)
        yield Replay(log, engine, projections, kept=kept, other_log=other_log, folders=folders)


async def init(database_url: str) -> None:
    """Creates the tables that are not there.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, or there is no such database.
    """
    async with _engine(database_url, WRITE_TIMEOUT_S) as engine, _translating(database_url):
        for projection in PROJECTIONS:
            await schemas.ensure(engine, projection)


async def status(log: EventLog | None, database_url: str) -> Status:
    """Where everything stands. Without a log (it may be away) the lag is not known.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, or there is no such database.
    """
    end = None if log is None else await log.last_sequence()
    async with (
        _engine(database_url, READ_TIMEOUT_S) as engine,
        _translating(database_url),
        engine.connect() as connection,
    ):
        states = await projection_statuses(connection, end)
        if any(state.version is None for state in states):
            return Status(end, states, 0, 0, None, None, None)
        return await _totals(connection, end, states)


async def positions(log: EventLog, database_url: str) -> list[ProjectionStatus]:
    """Where the projections stand, of all that `status` tells.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer, or there is no such database.
    """
    end = await log.last_sequence()
    async with (
        _engine(database_url, READ_TIMEOUT_S) as engine,
        _translating(database_url),
        engine.connect() as connection,
    ):
        return await projection_statuses(connection, end)


async def projection_statuses(connection: AsyncConnection, log_last_sequence: int | None) -> list[ProjectionStatus]:
    """Version, position, lag and error of every projection."""
    states = []
    for projection in PROJECTIONS:
        found = await schemas.live_checkpoint(connection, projection)
        at = found or Checkpoint(0)
        lag = None if log_last_sequence is None else max(0, log_last_sequence - at.sequence)
        version = None if found is None else found.version
        states.append(ProjectionStatus(projection.name, version, at.sequence, lag, at.error))
    return states


async def _totals(connection: AsyncConnection, end: int | None, states: list[ProjectionStatus]) -> Status:
    overview = await cycles.overview(connection)
    return Status(
        log_last_sequence=end,
        projections=states,
        total_cycles=overview.total_cycles,
        miners_evaluated=(await miners.totals(connection)).evaluated,
        latest_completed_cycle=overview.last_completed_cycle,
        running_cycle=overview.current_cycle,
        latest_weights=await weights.latest_weights(connection),
    )


@asynccontextmanager
async def looking(database_url: str) -> AsyncIterator[Callable[[EventLog], Awaitable[list[ProjectionStatus] | None]]]:
    """Asks again and again where the projections stand, over one connection; None while PostgreSQL is away.

    The lag is None while the log is.
    """
    async with _engine(database_url, READ_TIMEOUT_S, connections_max=1) as engine:

        async def look(log: EventLog) -> list[ProjectionStatus] | None:
            try:
                end = await log.last_sequence()
            except LogError:
                end = None
            try:
                async with engine.connect() as connection:
                    return await projection_statuses(connection, end)
            except DRIVER_ERRORS:
                return None

        yield look


@asynccontextmanager
async def _engine(url: str, timeout_s: float, *, connections_max: int = 10) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(url, role="projector", command_timeout_s=timeout_s, connections_max=connections_max)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _translating(url: str) -> AsyncIterator[None]:
    try:
        yield
    except DRIVER_ERRORS as error:
        raise unavailable(url, getattr(error, "orig", None) or error) from error
