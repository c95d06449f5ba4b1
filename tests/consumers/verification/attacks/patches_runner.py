"""Changes our code in its own process, so that every answer is sent twice."""

from __future__ import annotations

import sys
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


def make_policy() -> object:
    runner: Any = sys.modules["__main__"]
    write = runner._write

    def twice(*arguments: Any) -> None:
        write(*arguments)
        write(*arguments)

    runner._write = twice
    return Harmless()
