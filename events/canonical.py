"""The one form in which a document is signed: RFC 8785, without floats.

A float would be the same number in every language and not the same text; so numbers that are no integers are decimal
strings, and a float is refused before anybody signs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import rfc8785

Json: TypeAlias = "str | int | bool | list[Json] | Mapping[str, Json] | None"


def canonical(document: Mapping[str, Json]) -> bytes:
    """The document's bytes.

    Raises:
        ValueError: it holds a float, or an integer past 2^53.
    """
    _refuse_floats(document, "")
    return rfc8785.dumps(document)


def _refuse_floats(value: object, path: str) -> None:
    match value:
        case float():
            raise ValueError(f"{path or 'the document'}: {value!r} is a float, and floats are not signed: use text")
        case Mapping():
            for name, member in value.items():
                _refuse_floats(member, f"{path}.{name}".lstrip("."))
        case list():
            for index, member in enumerate(value):
                _refuse_floats(member, f"{path}[{index}]")
