"""Episodes: the one outcome of each, and the attempts in which we failed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text

from projectors.columns import Document, Moment, Name

NAME = "episodes"
VERSION = 1

metadata = MetaData(schema=NAME)

outcomes = Table(
    "outcomes",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("env", Name, primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("hotkey", Text, nullable=False),
    Column("outcome", Text, nullable=False, comment="completed, forfeited or abandoned"),
    Column("attempts", Integer, nullable=False, comment="how many there were, the last included"),
    Column("code", Text, comment="why it was forfeited or abandoned"),
    Column("detail", Text),
    Column("success", Boolean),
    Column("total_reward", Double),
    Column("steps", Integer),
    Column("terminated", Boolean),
    Column("truncated", Boolean),
    Column("variation", Document),
    Column("action_digest", Text),
    Column("final_state_digest", Text),
    Column("act_calls", Integer),
    Column("act_p50_ms", Double),
    Column("act_max_ms", Double),
    Column("duration_s", Double),
    Column("worker", Text),
    Column("ended_at", Moment, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
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
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("failed_at", Moment, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
"""Failed ones only; the last attempt is the outcome's."""
