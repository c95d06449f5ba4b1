"""Column types that mean the same on every server."""

from __future__ import annotations

from sqlalchemy import JSON, DateTime, Text

Name = Text(collation="C")
"""Text that is sorted by: in the order of its bytes, whatever the database's locale."""
Moment = DateTime(timezone=True)
Document = JSON(none_as_null=True)
"""A part of an event, as it stands there."""
