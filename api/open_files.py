"""How many files, and so connections, this process may have open: as many as the system lets it."""

from __future__ import annotations

import resource
from typing import Final

import structlog

OTHERS: Final = 1_000
"""Beside the streams: readers of running episodes, long polls, exports, the database, the log."""

log = structlog.stdlib.get_logger(__name__)


def allow_open_files(streams_max: int) -> int:
    """Raises the soft limit to the hard one, and logs where that is too few. Returns the limit; -1 is none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError) as error:  # macOS has a limit below the hard one
        log.warning("the limit on open files cannot be raised", soft=soft, hard=hard, error=str(error))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != allowed < streams_max + OTHERS:
        log.warning(
            "too few files can be open for all streams: raise the hard limit (`ulimit -Hn`, LimitNOFILE=)",
            allowed=allowed,
            expected=streams_max + OTHERS,
            streams_max=streams_max,
        )
    return allowed
