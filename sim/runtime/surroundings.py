"""The environment in which a simulation gives the same digits everywhere, for the process that is running already."""

from __future__ import annotations

import os
import sys

from sim.versions import PROCESS_ENVIRONMENT


def ensure_process_environment() -> None:
    """Start this very program again with `PROCESS_ENVIRONMENT`, where it was started without.

    The libraries read it when they are loaded, so it is too late to set it here. The process keeps its id, its parent
    and what it has open.
    """
    if PROCESS_ENVIRONMENT.items() <= os.environ.items():
        return
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **PROCESS_ENVIRONMENT})  # noqa: S606
