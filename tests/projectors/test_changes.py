"""How changes are gathered and written."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncEngine

from projectors.changes import Changes

metadata = MetaData(schema="public")
letters = Table("letters", metadata, Column("letter", Text, primary_key=True), Column("place", BigInteger))
counts = Table(
    "counts",
    metadata,
    Column("letter", Text, primary_key=True),
    Column("seen", BigInteger),
    Column("lost", BigInteger),
)


@pytest.fixture
async def tables(engine: AsyncEngine) -> AsyncEngine:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    return engine


async def written(engine: AsyncEngine, *several: Changes, table: Table) -> list[tuple[object, ...]]:
    for changes in several:
        async with engine.begin() as connection:
            await changes.write(connection, "public")
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(select(table).order_by(table.c.letter))]


async def test_appended_rows_have_null_where_nothing_is_named(tables: AsyncEngine) -> None:
    changes = Changes()
    changes.append(letters, letter="a", place=1)
    changes.append(letters, letter="b")
    assert await written(tables, changes, table=letters) == [("a", 1), ("b", None)]


async def test_the_last_row_of_a_key_replaces_the_others(tables: AsyncEngine) -> None:
    first, second = Changes(), Changes()
    first.replace(letters, letter="a", place=1)
    first.replace(letters, letter="a", place=2)
    second.replace(letters, letter="a", place=3)
    assert await written(tables, first, table=letters) == [("a", 2)]
    assert await written(tables, second, table=letters) == [("a", 3)]


async def test_counters_add_up_within_and_across_transactions(tables: AsyncEngine) -> None:
    first, second = Changes(), Changes()
    first.count(counts, {"letter": "a"}, seen=1)
    first.count(counts, {"letter": "a"}, seen=2, lost=1)
    first.count(counts, {"letter": "b"})
    second.count(counts, {"letter": "a"}, lost=1)
    assert await written(tables, first, second, table=counts) == [("a", 3, 2), ("b", 0, 0)]


async def test_a_mark_is_only_pushed_on(tables: AsyncEngine) -> None:
    first, second = Changes(), Changes()
    for place, letter in enumerate("bac"):
        first.advance(letters, letter, place)
    for place, letter in enumerate("cabd", 3):
        second.advance(letters, letter, place)
    assert await written(tables, first, second, table=letters) == [("b", 0), ("c", 2), ("d", 6)]


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match=r"no column.*colour"):
        Changes().append(letters, letter="a", colour="red")
