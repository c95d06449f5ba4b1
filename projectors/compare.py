"""Whether two copies of a read model hold the same rows, and if not, where they first differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import MetaData, Table, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from projectors.projector import Projector

Key = tuple[Any, ...]

_ROW_HASH = func.hashtextextended(literal_column("compared::text"), 0)


@dataclass(frozen=True, slots=True)
class Identical:
    """The same rows, at this sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Different:
    """At this sequence, and first at this key (column -> value) of the table."""

    sequence: int
    table: str
    key: dict[str, Any]
    what: str
    """How: the row has other values, or is in one of them only."""


@dataclass(frozen=True, slots=True)
class NotCompared:
    """There was nothing to compare with."""

    reason: str


Comparison = Identical | Different | NotCompared


async def compare(
    live: AsyncConnection, beside: AsyncConnection, built: Projector, sequence: int
) -> Identical | Different | NotCompared:
    """Compares the live tables, as the transaction on `live` sees them at `sequence`, with those that were built.

    Equal sums of row hashes are taken for equal rows; only where they differ are rows looked at one by one.
    """
    if built.checkpoint.sequence != sequence:
        return NotCompared(f"what was live stood at {sequence}, before {built.checkpoint.sequence}")
    for old in built.projection.metadata.sorted_tables:
        new = old.to_metadata(MetaData(), schema=built.schema)
        if await _digest(live, old) != await _digest(beside, new):
            key, what = await _first_difference(_rows(live, old), _rows(beside, new))
            names = [column.name for column in old.primary_key]
            return Different(sequence, old.name, dict(zip(names, key, strict=True)), what)
    return Identical(sequence)


async def _digest(connection: AsyncConnection, table: Table) -> Key:
    query = select(func.count(), func.sum(_ROW_HASH)).select_from(table.alias("compared"))
    return tuple((await connection.execute(query)).one())


async def _rows(connection: AsyncConnection, table: Table) -> AsyncIterator[tuple[Key, int]]:
    """Key and hash of each row, in the order of the keys."""
    compared = table.alias("compared")
    keys = [compared.c[column.name] for column in table.primary_key]
    async with connection.stream(select(*keys, _ROW_HASH).select_from(compared).order_by(*keys)) as rows:
        async for row in rows:
            yield tuple(row[:-1]), row[-1]


async def _first_difference(
    live: AsyncIterator[tuple[Key, int]], beside: AsyncIterator[tuple[Key, int]]
) -> tuple[Key, str]:
    """Where two lists in the same order part, the lesser key is the one that the other has not."""
    while True:
        old, new = await anext(live, None), await anext(beside, None)
        if old == new:
            assert old is not None, "sums of the same rows differ"
        elif new is None or (old is not None and old[0] < new[0]):
            assert old is not None
            return old[0], "was live only"
        elif old is None or new[0] < old[0]:
            return new[0], "was missing"
        else:
            return old[0], "had other values"
