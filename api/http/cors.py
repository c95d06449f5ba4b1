"""Pages of any origin may read: nothing here depends on cookies, and what programs may read, pages may.

The headers stand in every answer, also where no `Origin` was sent: what a cache keeps must do for everybody.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

EXPOSED: Final = (
    "ETag",
    "Kinitro-Sequence",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-Id",
)
METHODS: Final = "GET, HEAD, OPTIONS"
PREFLIGHT_S: Final = 86_400

HEADERS: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
)


def options() -> Response:
    """To `OPTIONS`, be it a preflight or not: what may be asked is the same everywhere."""
    return Response(
        status_code=204,
        headers={
            "Allow": METHODS,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        },
    )
