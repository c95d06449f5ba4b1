"""The bytes of a commitment, from what the SDK decodes of the pallet's storage. Pure.

The `fields` of `CommitmentInfo` come as `{"Raw5": "0x68656c6c6f"}` (n bytes, as hex), `{"BigRaw": "text"}` or, where
that is not UTF-8, `{"BigRaw": "0xff00"}`, `{"Sha256": "0x..."}`, `{"TimelockEncrypted": {...}}`, `"None"`, ... The
SDK's own reading of them is not used: it puts `bigraw:` before a BigRaw, and joins several fields into one text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from events.ids import Hotkey
from producers.discovery.metagraph import RawCommitment

_RAW = re.compile(r"Raw\d{1,3}")
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*")


def raw_commitment(hotkey: Hotkey, registration: Mapping[str, Any]) -> RawCommitment:
    """What a value of `Commitments.CommitmentOf` holds.

    Raises:
        ValueError: it has another form than the pallet's.
    """
    try:
        block, fields = int(registration["block"]), list(registration["info"]["fields"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"the commitment of {hotkey} is {registration!r:.200}, without block and fields") from error
    kind, data = _content(fields)
    return RawCommitment(hotkey, block, data, kind)


def _content(fields: Sequence[Any]) -> tuple[str, bytes]:
    """What kind of commitment this is, and its bytes."""
    if len(fields) != 1:
        return (f"{len(fields)} fields" if fields else "nothing"), _told_apart(fields)
    kind, value = _variant(fields[0])
    if _RAW.fullmatch(kind):
        return "Raw", _bytes(value)
    if kind == "BigRaw":
        return kind, _bytes_of_big_raw(value)
    return ("nothing" if kind == "None" else kind), _told_apart(value)


def _variant(field: Any) -> tuple[str, Any]:
    if isinstance(field, str):
        return field, None
    if isinstance(field, Mapping) and len(field) == 1:
        ((kind, value),) = field.items()
        return str(kind), value
    raise ValueError(f"the field {field!r:.200} of a commitment is no variant of the pallet's `Data`")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str) and _HEX.fullmatch(value):
        return bytes.fromhex(value[2:])
    if value == []:  # how no bytes at all come
        return b""
    raise ValueError(f"the bytes {value!r:.200} of a commitment are not 0x-hex")


def _bytes_of_big_raw(value: Any) -> bytes:
    """Hex stands for bytes that are no text. Who commits such hex as text is taken for it: neither means anything."""
    if not isinstance(value, str):
        return _bytes(value)
    if _HEX.fullmatch(value):
        data = bytes.fromhex(value[2:])
        try:
            data.decode()
        except UnicodeDecodeError:
            return data
    return value.encode()


def _told_apart(value: Any) -> bytes:
    """Bytes that differ where the values do."""
    return json.dumps(value, sort_keys=True, default=repr).encode() if value else b""
