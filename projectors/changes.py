"""What a run of events changes in the tables: gathered in memory, written at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import MetaData, Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Remainder:
    """What changes beside the rows to append, by name of the table. It can be sent to another process."""

    replaced: dict[str, dict[Row, dict[str, Any]]]
    counted: dict[str, dict[Row, dict[str, int]]]
    advanced: dict[str, list[tuple[Any, Row]]]


class WrongValue(ValueError):
    """A value cannot stand in the column that it was meant for."""


class Changes:
    """Rows to append, rows to replace, counters to add to, marks to push on. A table is written in one way only.

    Values are given by column name; a column that is not named becomes NULL, or 0 where it counts.
    """

    def __init__(self) -> None:
        self._appended: dict[Table, list[Row]] = {}
        self._replaced: dict[Table, dict[Row, dict[str, Any]]] = {}
        self._counted: dict[Table, dict[Row, dict[str, int]]] = {}
        self._advanced: dict[Table, list[tuple[Any, Row]]] = {}
        self._blank: dict[Table, dict[str, None]] = {}

    def append(self, table: Table, /, **row: Any) -> None:
        """A row that will never change. Written by COPY: the cheapest way for many."""
        rows = self._appended.get(table)
        if rows is None:
            rows = self._appended[table] = []
            self._blank[table] = dict.fromkeys(table.columns.keys())
        blank = self._blank[table]
        full = blank | row
        if len(full) != len(blank):
            raise KeyError(f"{table.fullname} has no column {sorted(full.keys() - blank.keys())}")
        rows.append(tuple(full.values()))

    def put(self, table: Table, row: Row) -> None:
        """As `append`, for rows by the million: all values, in the order of the columns."""
        rows = self._appended.get(table)
        if rows is None:
            rows = self._appended[table] = []
            self._blank[table] = dict.fromkeys(table.columns.keys())
        rows.append(row)

    def replace(self, table: Table, /, **row: Any) -> None:
        """The row with this primary key, as it is from now on. All columns must be named."""
        key = tuple([row[name] for name in _key_names(table)])
        self._replaced.setdefault(table, {})[key] = row

    def count(self, table: Table, key: dict[str, Any], /, **increments: int) -> None:
        """Adds to the counters in the row with the primary key `key`; a missing row starts from 0."""
        rows = self._counted.setdefault(table, {})
        identity = tuple(key.values())
        row = rows.get(identity)
        if row is None:
            row = rows[identity] = {**key, **dict.fromkeys(_counters(table), 0)}
        for name, increment in increments.items():
            row[name] += increment

    def advance(self, table: Table, mark: Any, /, *row: Any) -> None:
        """A row that begins with the primary key `mark`, if that is above all there are. It will never change."""
        rows = self._advanced.setdefault(table, [])
        if not rows or rows[-1][0] < mark:
            rows.append((mark, row))

    @property
    def appended(self) -> Mapping[Table, list[Row]]:
        """The rows to append, complete and in the order of their columns."""
        return self._appended

    def remainder(self) -> Remainder:
        return Remainder(
            {table.name: rows for table, rows in self._replaced.items()},
            {table.name: rows for table, rows in self._counted.items()},
            {table.name: rows for table, rows in self._advanced.items()},
        )

    def add(self, metadata: MetaData, later: Remainder) -> None:
        """What events have changed that come after all of those here. The tables are those of `metadata`."""
        tables = {table.name: table for table in metadata.sorted_tables}
        for name, replaced in later.replaced.items():
            self._replaced.setdefault(tables[name], {}).update(replaced)
        for name, counted in later.counted.items():
            here = self._counted.setdefault(tables[name], {})
            for key, row in counted.items():
                present = here.setdefault(key, row)
                if present is not row:
                    for column in _counters(tables[name]):
                        present[column] += row[column]
        for name, marks in later.advanced.items():
            here_marks = self._advanced.setdefault(tables[name], [])
            newest = here_marks[-1][0] if here_marks else None
            here_marks += marks if newest is None else [it for it in marks if it[0] > newest]  # they rise themselves

    async def write(self, connection: AsyncConnection, schema: str) -> None:
        """Writes everything within the transaction that is open on `connection`.

        Raises:
            WrongValue: a value has not the type of its column.
        """
        with _fitting():
            await self._write(connection, schema)

    async def _write(self, connection: AsyncConnection, schema: str) -> None:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        for table, rows in self._appended.items():
            await copy_rows(driver, schema, table, rows)
        for table, replaced in self._replaced.items():
            await connection.execute(_replacement(table), _in_key_order(replaced))
        for table, counted in self._counted.items():
            await connection.execute(_addition(table), _in_key_order(counted))
        for table, marks in self._advanced.items():
            (column,) = table.primary_key
            highest = await connection.scalar(select(func.max(column)))
            # Nobody adds one in between: the checkpoint, moved in this transaction, is locked.
            higher = [(mark, *row) for mark, row in marks if highest is None or mark > highest]
            await copy_rows(driver, schema, table, higher)


async def copy_rows(driver: Any, schema: str, table: Table, rows: list[Row]) -> None:
    """Appends complete rows, over a connection of asyncpg.

    Raises:
        WrongValue: a value has not the type of its column.
    """
    with _fitting():
        await driver.copy_records_to_table(table.name, schema_name=schema, columns=table.columns.keys(), records=rows)


@contextmanager
def _fitting() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise WrongValue(f"a value does not fit its column: {error}") from error


@cache
def _key_names(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _in_key_order(rows: dict[Row, dict[str, Any]]) -> list[dict[str, Any]]:
    return [rows[key] for key in sorted(rows)]


def _counters(table: Table) -> Iterable[str]:
    return [column.name for column in table.columns if not column.primary_key]


def _replacement(table: Table) -> Any:
    statement = insert(table)
    values = {name: statement.excluded[name] for name in _counters(table)}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def _addition(table: Table) -> Any:
    statement = insert(table)
    sums = {name: table.c[name] + statement.excluded[name] for name in _counters(table)}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
