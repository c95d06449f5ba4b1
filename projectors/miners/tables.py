"""Miners by hotkey: where each is registered, what it has committed to, when it was last evaluated."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, MetaData, Table, Text

from projectors.columns import Moment, Name

NAME = "miners"
VERSION = 3

metadata = MetaData(schema=NAME)

registrations = Table(
    "registrations",
    metadata,
    Column("hotkey", Name, primary_key=True),
    Column("uid", Integer, nullable=False),
    Column("registered", Boolean, nullable=False, comment="false once it has departed or was rejected"),
    Column("block", BigInteger, nullable=False, comment="at which this was seen"),
    Column("since", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("code", Text, comment="why its commitment was rejected; NULL where it was not"),
    Column("detail", Text),
)

commitments = Table(
    "commitments",
    metadata,
    Column("hotkey", Name, primary_key=True),
    Column("repo", Text, comment="NULL where the newest commitment was rejected"),
    Column("revision", Text),
    Column("endpoint", Text, comment="NULL where it was committed encrypted"),
    Column("block", BigInteger, nullable=False),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("hotkey", Name, primary_key=True),
    Column("last_evaluated", Moment, nullable=False),
    Column("last_cycle", BigInteger, nullable=False),
)
"""Miners whose policy has been called: an abandoned episode is no evaluation."""

announcements = Table(
    "announcements",
    metadata,
    Column("hotkey", Name, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False, comment="discovered, commitment_changed, commitment_rejected or departed"),
    Column("uid", Integer, nullable=False),
    Column("block", BigInteger, nullable=False, comment="at which this was seen"),
    Column("time", Moment, nullable=False),
    Column("repo", Text, comment="NULL where the miner has departed or was rejected"),
    Column("revision", Text),
    Column("endpoint", Text, comment="NULL where it was committed encrypted"),
    Column("commitment_block", BigInteger, comment="NULL where the miner has departed"),
    Column("code", Text, comment="why its commitment was rejected; NULL where it was not"),
    Column("detail", Text),
)
"""Every event about a miner as such: what `registrations` and `commitments` were at any time."""

rosters = Table(
    "rosters",
    metadata,
    Column("hotkey", Name, primary_key=True),
    Column("cycle", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", Integer, nullable=False),
    Column("block", BigInteger, nullable=False, comment="of the plan"),
    Column("time", Moment, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)
"""The cycles that a miner was planned into: its episodes are found by cycle and uid."""
