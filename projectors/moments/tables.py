"""The seconds in which the log came further in time than it had ever been, and the event that did it.

Writers have clocks of their own, so the times in a log do not always rise with its sequences. The log is *past* a
second from the first event on that is later than all of it. That is one place, whatever comes after.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, Table

from projectors.columns import Name

NAME = "moments"
VERSION = 1

metadata = MetaData(schema=NAME)

seconds = Table(
    "seconds",
    metadata,
    Column("second", Name, primary_key=True, comment="UTC, as 2026-01-02T03:04:05"),
    Column("sequence", BigInteger, nullable=False, comment="of the first event in this second, or in a later one"),
)
"""Rising in both columns: an event from before the newest second leaves no row."""
