"""Rows of outcomes and attempts as COPY takes them (`projectors.copying`): all columns of `tables`, in order."""

from __future__ import annotations

from struct import Struct

from projectors.copying import Row, packed_flag

_BIGINT, _INT = 8, 4
_TO_ENV = Struct(">hiqiii").pack
_INDEX = Struct(">ii").pack
_TO_EVENT = Struct(">iqi").pack
_FROM_INDEX_TO_EVENT = Struct(">iiiiiqi").pack


def packed_outcome(row: Row) -> bytes:
    """Raises `struct.error`, `TypeError`, `ValueError` or `AttributeError` where a value does not fit its column."""
    cycle, uid, env, index, success, forfeited, sequence, event = row
    name = env.encode()
    return b"".join(
        (
            _TO_ENV(8, _BIGINT, cycle, _INT, uid, len(name)),
            name,
            _INDEX(_INT, index),
            packed_flag(success),
            packed_flag(forfeited),
            _TO_EVENT(_BIGINT, sequence, len(event)),
            event,
        )
    )


def packed_attempt(row: Row) -> bytes:
    """Raises as `packed_outcome`."""
    cycle, uid, env, index, attempt, sequence, event = row
    name = env.encode()
    return b"".join(
        (
            _TO_ENV(7, _BIGINT, cycle, _INT, uid, len(name)),
            name,
            _FROM_INDEX_TO_EVENT(_INT, index, _INT, attempt, _BIGINT, sequence, len(event)),
            event,
        )
    )
