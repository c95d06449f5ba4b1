"""Spot checks: the one outcome of each miner that was drawn, and what was found to be copied."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

from projectors.columns import Document, Moment, Name

NAME = "verifications"
VERSION = 1

metadata = MetaData(schema=NAME)

checks = Table(
    "checks",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, primary_key=True, autoincrement=False),
    Column("hotkey", Name, nullable=False),
    Column("outcome", Text, nullable=False, comment="passed, failed or inconclusive"),
    Column("reason", Text, comment="NULL where it passed"),
    Column("detail", Text),
    Column("method", Text, comment="NULL, as the score, where no actions were compared"),
    Column("score", Double),
    Column("repo", Text, nullable=False),
    Column("revision", Text, nullable=False, comment="as committed"),
    Column("commit", Text, comment="what it was resolved to; NULL where nothing was fetched"),
    Column("time", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("event", LargeBinary, nullable=False, comment="byte for byte: every action of both sides is in it"),
)

Index("checks_of_miner", checks.c.hotkey, checks.c.sequence)

copies = Table(
    "copies",
    metadata,
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False, comment="in the event, from 0"),
    Column("copy", Document, nullable=False, comment="all fields of Copy"),
    Column("sequence", BigInteger, nullable=False),
)
