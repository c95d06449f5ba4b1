"""The result of each cycle: standings and tallies by miner, and the weights, or why there are none."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

from projectors.columns import Document, Moment, Name

NAME = "weights"
VERSION = 3

metadata = MetaData(schema=NAME)

results = Table(
    "results",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("block", BigInteger, nullable=False, index=True, comment="of the plan"),
    Column("computed", Boolean, nullable=False, comment="false: withheld"),
    Column("reason", Text, comment="why they were withheld"),
    Column("detail", Text),
    Column("merkle_root", Text, comment="of the sealed cycle from which all of this follows"),
    Column("epsilons", Document, nullable=False, comment="by environment, decimals as text"),
    Column("u16_uids", Document),
    Column("u16_values", Document),
    Column("created_at", Moment, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

standings = Table(
    "standings",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("hotkey", Text, nullable=False),
    Column("on_frontier", Boolean, nullable=False),
    Column("points", Text, nullable=False, comment="an exact integer, may pass 2^53"),
    Column("weight", Text, nullable=False, comment="an exact decimal"),
    Column("moved", Boolean, nullable=False, comment="it no longer held its uid when the cycle ended"),
    Column("unverified", Boolean, nullable=False, comment="it failed a spot check, and none has passed since"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("env", Name, primary_key=True),
    Column("completed", Integer, nullable=False),
    Column("successful", Integer, nullable=False, comment="of the completed"),
    Column("forfeited", Integer, nullable=False),
    Column("abandoned", Integer, nullable=False),
)
