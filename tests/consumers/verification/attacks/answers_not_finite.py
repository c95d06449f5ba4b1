"""Answers with NaN and an infinity."""

from __future__ import annotations

import math
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class NotFinite(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        return {"continuous": {"ee_twist": [math.nan, math.inf, 0, 0, 0, 0]}}


def make_policy() -> object:
    return NotFinite()
