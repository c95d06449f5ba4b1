"""A name for each request: in its answer, in its problem, and in each line that is logged about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, cast

import structlog

from events.envelope import new_id

HEADER: Final = b"x-request-id"
SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def bind(request_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The caller's own name for the request where it is a sane one, else a new one; from here on logged."""
    found = None
    for name, value in request_headers:
        if name == HEADER and SANE.fullmatch(value):
            found = value.decode()
    found = found or new_id()
    structlog.contextvars.bind_contextvars(request_id=found)
    return found.encode()


def bound() -> str | None:
    """Of the request that is being answered."""
    return cast("str | None", structlog.contextvars.get_contextvars().get("request_id"))
