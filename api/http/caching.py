"""How long an answer may be kept.

| `Cache-Control`                    | what                                                                          |
|------------------------------------|-------------------------------------------------------------------------------|
| `public, max-age=86400, immutable` | what follows from events that nothing can change: `for_good`                  |
| `no-cache`                         | everything else: kept, but asked for again with its ETag                      |
| `no-store`                         | errors, streams, and what is a hotkey's own                                   |

A day, not a year: the facts stay what they are, but a newer program may say more about them. What can still learn of
an event is not for good although its cycle has ended: an attempt that failed may be told late, so a cycle's and an
episode's own page is `no-cache`; and the weights of a block, since several cycles may be planned at one block.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

FOR_GOOD: Final = "public, max-age=86400, immutable"
ASK_AGAIN: Final = "no-cache"
NEVER: Final = "no-store"


def for_good(response: Response) -> None:
    """Nothing that may still happen changes this answer."""
    response.headers["Cache-Control"] = FOR_GOOD
