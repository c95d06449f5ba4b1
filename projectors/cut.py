"""A read model beside the live one, filled with what the live one knew at an earlier sequence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Select, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Cut:
    """Fills the empty tables in `schema` within the transaction that is open on `connection`.

    Queries by the tables' own names read the live rows. `sequence` is at least 1, and all whose rows are read have
    seen it.
    """

    connection: AsyncConnection
    schema: str
    sequence: int

    async def keep(self, *tables: Table) -> None:
        """Copies the rows that stood there: for tables whose rows never change and tell their sequence."""
        for table in tables:
            await self.fill(table, select(table).where(table.c.sequence <= self.sequence))

    async def fill(self, table: Table, query: Select[Any]) -> None:
        """Writes what the query gives; its columns are those of the table, in their order."""
        await self.connection.execute(insert(self.beside(table)).from_select(table.columns.keys(), query))

    async def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            await self.connection.execute(insert(self.beside(table)), rows)

    def beside(self, table: Table) -> Table:
        """The table that is being filled."""
        return table.to_metadata(MetaData(), schema=self.schema)


CutBack = Callable[[Cut], Awaitable[None]]
"""Fills all tables of a projection: exactly the rows that projecting the first `sequence` events would write."""
