"""A large build, held at a step and killed there."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from projectors.database import checked_url
from projectors.schemas import _lock_key
from projectors.topics import PROJECTIONS
from tests.eventually import eventually


class FoldingProcesses:
    """Those that some process has started. The first becomes several, all of one session."""

    def __init__(self, first: int) -> None:
        self.first = first

    def go_on(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.first, signal.SIGCONT)

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def others(self) -> list[int]:
        return _children(self.first)

    def gone(self) -> bool:
        return self.first not in _sessions()


@asynccontextmanager
async def folding_held(leader: int, engine: AsyncEngine) -> AsyncIterator[FoldingProcesses]:
    """The processes that this one has started, stopped: the tables are emptied, nothing is folded until `go_on`."""
    found: list[int] = []
    await eventually(lambda: bool(found) or _has_started(leader, found))
    processes = FoldingProcesses(found[0])
    os.kill(processes.first, signal.SIGSTOP)  # it still imports what it needs
    try:
        await eventually(lambda: _wait_for_rows(engine))
        yield processes
    finally:
        processes.go_on()


def _has_started(leader: int, found: list[int]) -> bool:
    for pid in _children(leader):
        with suppress(OSError):
            if b"projectors.folding" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return bool(found)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    return []


def _sessions() -> set[int]:
    """Of all that are alive."""
    found = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal():
                state, _, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
                if state not in "ZX":
                    found.add(int(session))
    return found


@asynccontextmanager
async def no_keys(url: str) -> AsyncIterator[None]:
    """Nobody gets to make one for as long as this is open."""
    async with _transaction(url) as connection:
        await connection.execute("LOCK TABLE pg_constraint IN EXCLUSIVE MODE")
        yield


@asynccontextmanager
async def no_swap(url: str, name: str) -> AsyncIterator[None]:
    """This read model is not put in place for as long as this is open; those before it are."""
    async with _transaction(url) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _lock_key(f"schema {name}"))
        yield


async def waits_for_a_lock(engine: AsyncEngine, query: str) -> bool:
    """Whether somebody's command that is like this one does."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :query")
    async with engine.connect() as connection:
        return bool(await connection.scalar(waiting.bindparams(query=query)))


async def _wait_for_rows(engine: AsyncEngine) -> bool:
    """Whether all builders have emptied their tables."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
        " AND (query LIKE '%DROP CONSTRAINT \"attempts_pkey\"'"
        " OR query LIKE 'TRUNCATE%' AND query NOT LIKE '%episodes%')"
    )
    async with engine.connect() as connection:
        return bool(await connection.scalar(query) == len(PROJECTIONS))


@asynccontextmanager
async def _transaction(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(checked_url(url), timeout=10)
    try:
        await connection.execute("BEGIN")
        yield connection
    finally:
        connection.terminate()  # the server may be gone
