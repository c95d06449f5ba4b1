"""Rows in the binary format of PostgreSQL's COPY, made where they are folded rather than where they are sent.

A row is the number of its columns (two bytes), then each value with its length (four bytes, -1 for NULL) before it;
all numbers are big-endian. https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

CHUNK_BYTES = 256 * 1024
"""What one message to the server holds."""

Row = tuple[Any, ...]

_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"

_TRUE, _FALSE, _NULL = b"\0\0\0\1\1", b"\0\0\0\1\0", b"\xff\xff\xff\xff"


def packed_flag(value: Any) -> bytes:
    """A nullable boolean.

    Raises:
        TypeError: it is none.
    """
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    if value is None:
        return _NULL
    raise TypeError(f"{value!r:.100} is no boolean")


async def copy_packed(driver: Any, schema: str, table: str, columns: list[str], packed: bytes | bytearray) -> None:
    """Appends rows over a connection of asyncpg, to a table that was emptied in the same transaction."""
    await driver.copy_to_table(
        table,
        schema_name=schema,
        columns=columns,
        source=_chunks(packed),
        format="binary",
        freeze=True,
    )


async def _chunks(packed: bytes | bytearray) -> AsyncIterator[bytes | memoryview]:
    view = memoryview(packed)
    yield _BEGIN
    for start in range(0, len(view), CHUNK_BYTES):
        yield view[start : start + CHUNK_BYTES]
    yield _END
