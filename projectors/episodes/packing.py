"""Rows of outcomes and attempts as COPY takes them (`projectors.copying`): all columns of `tables`, in order."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from projectors.copying import Row, packed_flag

_BIGINT, _INT = 8, 4
_TO_ENV = Struct(">hiqiii").pack
_INDEX = Struct(">ii").pack
_TO_EVENT = Struct(">iqi").pack
_FROM_INDEX_TO_EVENT = Struct(">iiiiiqi").pack


def packed_outcomes(rows: Iterable[Row]) -> bytearray:
    """Raises `struct.error`, `TypeError`, `ValueError` or `AttributeError` where a value does not fit its column."""
    packed = bytearray()
    for cycle, uid, env, index, success, forfeited, sequence, event in rows:
        name = env.encode()
        packed += b"".join(
            (
                _TO_ENV(8, _BIGINT, cycle, _INT, uid, len(name)),
                name,
                _INDEX(_INT, index),
                packed_flag(success),
                packed_flag(forfeited),
                _TO_EVENT(_BIGINT, sequence, len(event)),
            )
        )
        packed += event
    return packed


def packed_attempts(rows: Iterable[Row]) -> bytearray:
    """Raises as `packed_outcomes`."""
    packed = bytearray()
    for cycle, uid, env, index, attempt, sequence, event in rows:
        name = env.encode()
        packed += _TO_ENV(7, _BIGINT, cycle, _INT, uid, len(name))
        packed += name
        packed += _FROM_INDEX_TO_EVENT(_INT, index, _INT, attempt, _BIGINT, sequence, len(event))
        packed += event
    return packed
