"""Many processes take a little memory each, and all of them together too much."""

from __future__ import annotations

import os
import time
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Gluttons(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        for _ in range(10):
            if os.fork() == 0:
                eaten = [b"x" * (1 << 20) for _ in range(40)]
                time.sleep(3600 + len(eaten))
        time.sleep(3600)
        return {}


def make_policy() -> object:
    return Gluttons()
