"""Episodes: the one outcome of each, and the attempts in which we failed.

A row holds the event itself, byte for byte, beside what it is searched by. Nearly every event of a log is an outcome,
and taking each apart into columns would cost more than reading and writing it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table

from projectors.columns import Name

NAME = "episodes"
VERSION = 2

metadata = MetaData(schema=NAME)

outcomes = Table(
    "outcomes",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("env", Name, primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("success", Boolean, comment="NULL where nothing can be said: the episode was abandoned"),
    Column("forfeited", Boolean, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("event", LargeBinary, nullable=False),
)
"""In the order of its key a cycle's episodes are paged through."""

attempts = Table(
    "attempts",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("env", Name, primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("event", LargeBinary, nullable=False),
)
"""Failed ones only; the last attempt is the outcome's."""
