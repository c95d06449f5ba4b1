"""How a message becomes bytes: JSON, which every policy speaks, or MessagePack, for policies that ask for it.

A policy asks in its answer to `/reset`, or to `GET /health`:

    {"status": "ok", "observation_encodings": ["msgpack"]}

Both carry the same structure. In MessagePack an image's `data` is the raw bytes instead of base64, and floats
keep the four bytes they have. `Content-Type` names the encoding, of requests and of answers.

WireError
 ├─ Malformed     not the agreed structure
 ├─ NonFinite     NaN, an infinity, or a number that no float can hold
 └─ WrongShape    a channel with another number of values than it has
"""

from __future__ import annotations

import base64
import re
from enum import StrEnum
from typing import Any

import orjson
import ormsgpack

ADVERTISEMENT = "observation_encodings"

NOT_JSON_NUMBER = re.compile(rb"(?<![\w\"])-?(NaN|Infinity)(?![\w\"])")
"""What `json.dumps` of several languages writes for a float that is not finite. It is not JSON."""

MSGPACK_TYPES = frozenset({"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"})


class WireError(Exception):
    """A message that does not follow the wire format; `str()` is meant for the sender."""


class Malformed(WireError):
    """Not the agreed structure."""


class NonFinite(WireError):
    """NaN, an infinity, or a number beyond any float."""


class WrongShape(WireError):
    """A channel has another number of values than it should."""


class Encoding(StrEnum):
    """The encodings there are, by the names that policies advertise."""

    JSON = "json"
    MSGPACK = "msgpack"

    @property
    def content_type(self) -> str:
        return f"application/{self.value}"

    @classmethod
    def of_content_type(cls, content_type: str) -> Encoding:
        """JSON unless the header says MessagePack: deployed servers say all sorts of things about their JSON."""
        kind = content_type.partition(";")[0].strip().lower()
        return cls.MSGPACK if kind in MSGPACK_TYPES else cls.JSON

    def dumps(self, value: object) -> bytes:
        """Numpy arrays become lists of numbers."""
        if self is Encoding.JSON:
            return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        return ormsgpack.packb(value, option=ormsgpack.OPT_SERIALIZE_NUMPY)

    def loads(self, body: bytes) -> object:
        """The value, of plain types; maps have string keys.

        Raises:
            Malformed, NonFinite: not this encoding, too deeply nested, or with extension types.
        """
        return _loads_json(body) if self is Encoding.JSON else _loads_msgpack(body)

    def binary(self, data: bytes) -> str | bytes:
        """Binary data as a member of a message."""
        return base64.b64encode(data).decode("ascii") if self is Encoding.JSON else data

    def from_binary(self, member: object) -> bytes:
        """The inverse of `binary`.

        Raises:
            ValueError: not binary data in this encoding.
        """
        match self, member:
            case Encoding.JSON, str(text):
                return base64.b64decode(text, validate=True)
            case Encoding.MSGPACK, bytes(data):
                return data
            case _:
                raise ValueError("not a string of base64" if self is Encoding.JSON else "not binary data")


def advertised(answer: bytes) -> Encoding | None:
    """What an answer to `/reset` or `/health` asks for; None if it says nothing. Garbage asks for JSON."""
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or ADVERTISEMENT not in value:
        return None
    names = value[ADVERTISEMENT]
    wanted = isinstance(names, list) and Encoding.MSGPACK.value in names
    return Encoding.MSGPACK if wanted else Encoding.JSON


def shown(value: object) -> str:
    """The value's repr, cut to what fits into a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _loads_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if found := NOT_JSON_NUMBER.search(body):
            raise NonFinite(f"byte {found.start()}: {found.group().decode()} is not a finite number") from error
        if "infinity" in error.msg:
            raise NonFinite(f"a number is too large: {error}") from error
        raise Malformed(f"the body is not JSON: {error}; it begins with {shown(body[:80])}") from error


def _loads_msgpack(body: bytes) -> Any:
    try:
        return ormsgpack.unpackb(body)
    except ormsgpack.MsgpackDecodeError as error:
        reason = "extension types are not accepted" if "ext_hook" in str(error) else str(error)
        raise Malformed(f"the body is not MessagePack: {reason}; it begins with {shown(body[:80])}") from error
