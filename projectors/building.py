"""One read model being built in one transaction, from rows and changes that others have folded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

import structlog
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from projectors import checkpoint, schemas
from projectors.changes import Changes, Remainder, WrongValue, copy_rows
from projectors.checkpoint import Checkpoint
from projectors.copying import copy_packed
from projectors.database import DRIVER_ERRORS
from projectors.messages import Rows
from projectors.projector import Projector

KEYS_TIMEOUT_S = 3600.0

SETTINGS = {
    # On disk when it ends: a crash must not take back what others build upon.
    "synchronous_commit": "on",
    # Most tables of a log wait for the few that take nearly all of it.
    "idle_in_transaction_session_timeout": "0",
    # For the keys: a million rows are then sorted in memory, by several processes.
    "maintenance_work_mem": "'256MB'",
    "max_parallel_maintenance_workers": "2",
    # The disk begins at once with what the commit would have to wait for.
    "backend_flush_after": "'1MB'",
}

logger = structlog.get_logger(__name__)


class Building:
    """Empty tables at first. Where anything goes wrong it is `lost`, and they are as they were."""

    def __init__(self, projector: Projector, connection: AsyncConnection, driver: Any, end: Checkpoint) -> None:
        self.name = projector.projection.name
        self.end = end
        """Where it will stand when it is whole."""
        self.lost = False
        self._projector, self._connection, self._driver = projector, connection, driver
        self._tables = {table.name: table for table in projector.projection.metadata.sorted_tables}
        self._changes = Changes()
        self._turn = asyncio.Lock()
        """A connection does one thing at a time."""

    @classmethod
    @asynccontextmanager
    async def begun(cls, engine: AsyncEngine, projector: Projector, end: Checkpoint) -> AsyncIterator[Self]:
        """What is not finished when this closes has never been."""
        async with schemas.scoped(engine, projector.projection, projector.schema).connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            building = cls(projector, connection, driver, end)
            await building._attempt(building._begin())
            yield building

    async def append(self, rows: Rows) -> None:
        await self._attempt(self._append(rows))

    def take(self, remainder: Remainder | None) -> None:
        """What else the next events change; None where that could not be said of one of them."""
        if remainder is None:
            self.lost = True
        else:
            self._changes.add(self._projector.projection.metadata, remainder)

    async def flush(self) -> None:
        """Writes what was taken."""
        changes, self._changes = self._changes, Changes()
        await self._attempt(changes.write(self._connection, self._projector.schema))

    async def complete(self) -> None:
        """Writes the rest, and the keys."""
        await self.flush()
        await self._attempt(self._make_keys())

    async def commit(self) -> None:
        """From here on it stands there, and the projector at its end."""
        await self._attempt(self._connection.commit())
        if not self.lost:
            self._projector.checkpoint = self.end

    async def _attempt(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it in turn, if all before has succeeded."""
        async with self._turn:
            if self.lost:
                work.close()
                return
            try:
                await work
            except (WrongValue, *DRIVER_ERRORS) as error:
                logger.debug("not built by several processes", projection=self.name, error=repr(error)[:300])
                self.lost = True

    async def _append(self, rows: Rows) -> None:
        schema = self._projector.schema
        for name, packed in rows.packed.items():
            await copy_packed(self._driver, schema, name, self._tables[name].columns.keys(), packed)
        for name, plain in rows.plain.items():
            await copy_rows(self._driver, schema, self._tables[name], plain)

    async def _begin(self) -> None:
        for name, value in SETTINGS.items():
            await self._connection.execute(text(f"SET LOCAL {name} TO {value}"))
        await checkpoint.advance(self._connection, self._projector.checkpoint, self.end)
        names = ", ".join(map(self._place, self._tables.values()))
        await self._connection.execute(text(f"TRUNCATE {names}"))
        for table in self._projector.projection.heavy:
            await self._connection.execute(text(f"ALTER TABLE {self._place(table)} DROP CONSTRAINT {_key(table)}"))

    async def _make_keys(self) -> None:
        await self._connection.execute(text(f"SET LOCAL statement_timeout TO {int(KEYS_TIMEOUT_S * 1000)}"))
        for table in self._projector.projection.heavy:
            columns = ", ".join(f'"{column.name}"' for column in table.primary_key)
            statement = f"ALTER TABLE {self._place(table)} ADD CONSTRAINT {_key(table)} PRIMARY KEY ({columns})"
            await self._driver.execute(statement, timeout=KEYS_TIMEOUT_S)

    def _place(self, table: Table) -> str:
        return f'"{self._projector.schema}"."{table.name}"'


def _key(table: Table) -> str:
    """As PostgreSQL names it where nobody does."""
    return f'"{table.name}_pkey"'
