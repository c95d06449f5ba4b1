"""Answers with a million numbers."""

from __future__ import annotations

from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Giant(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        return {"continuous": {"ee_twist": [0] * 1_000_000}}


def make_policy() -> object:
    return Giant()
