"""A projector dies within its transactions: checkpoints have been moved and rows written, and nothing is committed.

A lock on one table stops it there: of each projection the checkpoint is moved first, and then its tables are written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from projectors.database import open_engine
from tests.eventually import eventually
from tests.faults.conftest import Tell
from tests.faults.stage import stage
from tests.system.cycles import Result, Subnet, scored

ROWS, COUNTERS, LAST_OF_THREE = "episodes.outcomes", "cycles.progress", "weights.tallies"

WAITING = """
    SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND backend_xid IS NOT NULL AND relation = cast('{table}' AS regclass)
"""


async def test_kill_9_between_rows_and_checkpoint(subnet: Subnet, undisturbed: Result, tell: Tell) -> None:
    with subnet.held() as release:  # no weights before the first kill: a dead transaction would keep their checkpoint
        async with stage(subnet) as it, looking_in(it.postgres.server.url) as engine:
            projector = it.role("projector")
            await eventually(lambda: has_tables(engine))
            async with locked(engine, LAST_OF_THREE):
                async with locked(engine, ROWS), locked(engine, COUNTERS):
                    await it.under_way()
                    await waits_for(engine, ROWS)
                    await waits_for(engine, COUNTERS)
                    await projector.killed()
                release()
                await scored(it.log)
                await waits_for(engine, LAST_OF_THREE)
                await projector.killed()
            await it.unharmed(undisturbed)
            await it.read_models_right()
            assert projector.starts == 3
    tell("killed in transactions of three projections; every row and counter is what the log gives")


@asynccontextmanager
async def looking_in(url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(url, role="test", command_timeout_s=60)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def locked(engine: AsyncEngine, table: str) -> AsyncIterator[None]:
    """Whoever writes to this table waits; who reads it does not."""
    async with engine.begin() as connection:
        await connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        yield


async def waits_for(engine: AsyncEngine, table: str) -> None:
    """Returns once a transaction that has moved a checkpoint waits for this table."""

    async def waits() -> bool:
        async with engine.connect() as connection:
            return bool(await connection.scalar(text(WAITING.format(table=table))))

    await eventually(waits)


async def has_tables(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return bool(await connection.scalar(text(f"SELECT to_regclass('{LAST_OF_THREE}') IS NOT NULL")))
