"""Cycles: the plan, the entropy, the progress and the end of each, one table a fact."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text

from projectors.columns import Document, Moment, Name

NAME = "cycles"
VERSION = 5

metadata = MetaData(schema=NAME)

plans = Table(
    "plans",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BigInteger, nullable=False),
    Column("episodes_planned", Integer, nullable=False),
    Column("deadline_s", Integer, nullable=False),
    Column("plan", Document, nullable=False, comment="all fields of CyclePlanned"),
    Column("planned_at", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

seeds = Table(
    "seeds",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BigInteger, nullable=False),
    Column("block_hash", Text, nullable=False),
    Column("seeded_at", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

seals = Table(
    "seals",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False, comment="sealed or abandoned"),
    Column("seal", Document, nullable=False, comment="all fields of CycleSealed or CycleAbandoned"),
    Column("ended_at", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("env", Name, primary_key=True),
    Column("completed", BigInteger, nullable=False),
    Column("successful", BigInteger, nullable=False, comment="of the completed"),
    Column("forfeited", BigInteger, nullable=False),
    Column("abandoned", BigInteger, nullable=False),
    Column("attempts_failed", BigInteger, nullable=False),
)
"""Counters by environment; a row stands there from the plan on."""
