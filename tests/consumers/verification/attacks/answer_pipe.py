"""Lies beside the attacks too: where the answers go."""

from __future__ import annotations

import os
import stat


def answers() -> int:
    """The pipe of the answers, by its number: the one that can be written to and is not for errors."""
    for descriptor in range(3, 20):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"")
                return descriptor
        except OSError:
            continue
    raise FileNotFoundError("no such pipe")
