"""Never answers."""

from __future__ import annotations

import time
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Sleeper(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        time.sleep(3600)
        return {}


def make_policy() -> object:
    return Sleeper()
