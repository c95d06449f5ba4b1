"""Rows packed by us are those that the driver would write, and what it refuses is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncEngine

from projectors.changes import Row
from projectors.copying import copy_packed
from projectors.episodes import tables
from projectors.episodes.packing import packed_attempts, packed_outcomes
from projectors.episodes.project import PROJECTION

INT = st.integers(-(2**31), 2**31 - 1)
BIGINT = st.integers(-(2**63), 2**63 - 1)
NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
KEY = (BIGINT, INT, NAME, INT)
OUTCOME = st.tuples(*KEY, st.none() | st.booleans(), st.booleans(), BIGINT, st.binary())
ATTEMPT = st.tuples(*KEY, INT, BIGINT, st.binary())
GOOD = (1, 2, "env", 3, True, False, 4, b"event")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outcomes=st.lists(OUTCOME, unique_by=lambda row: row[:4]),
    attempts=st.lists(ATTEMPT, unique_by=lambda row: row[:5]),
)
async def test_what_was_packed_stands_in_the_tables(
    engine: AsyncEngine, outcomes: list[Row], attempts: list[Row]
) -> None:
    for table, rows in ((tables.outcomes, outcomes), (tables.attempts, attempts)):
        assert await stored(engine, table, rows) == sorted(rows, key=repr)


async def stored(engine: AsyncEngine, table: Table, rows: list[Row]) -> list[Row]:
    packed = PROJECTION.heavy[table](rows)
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await connection.exec_driver_sql(f"TRUNCATE {table.fullname}")
        await copy_packed(driver, "episodes", table.name, table.columns.keys(), packed)
        found = [tuple(row) for row in await connection.execute(select(table))]
        await connection.rollback()
    return sorted(found, key=repr)


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, "1"), (0, 1.0), (0, 2**63), (1, 2**31), (2, 7), (2, None), (2, "\ud800"), (3, None), (4, 1), (4, "true")],
)
def test_a_value_that_does_not_fit_is_refused(column: int, value: Any) -> None:
    with pytest.raises((struct.error, TypeError, ValueError, AttributeError)):
        packed_outcomes([(*GOOD[:column], value, *GOOD[column + 1 :])])
    if column < 4:
        row = (1, 2, "env", 3, 1, 4, b"event")
        with pytest.raises((struct.error, TypeError, ValueError, AttributeError)):
            packed_attempts([(*row[:column], value, *row[column + 1 :])])
