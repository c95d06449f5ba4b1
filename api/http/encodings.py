"""Which encoding a client takes (RFC 9110, 12.5.3). Only gzip is offered."""

from __future__ import annotations

import functools
import gzip
import re
from typing import Final

NOTHING: Final = re.compile(r"q\s*=\s*0(\.0*)?")
LEVEL: Final = 5
"""For JSON 1 % larger than 6, and a third faster."""


@functools.lru_cache(maxsize=1024)
def wants_gzip(accept_encoding: str) -> bool:
    """Whether this `Accept-Encoding` names gzip, and not with a weight of nothing."""
    for offer in accept_encoding.lower().split(","):
        name, _, weight = (part.strip() for part in offer.partition(";"))
        if name in ("gzip", "x-gzip"):
            return not NOTHING.fullmatch(weight)
    return False


def gzipped(body: bytes) -> bytes:
    """The same bytes for the same body: no time stands in it."""
    return gzip.compress(body, LEVEL, mtime=0)
