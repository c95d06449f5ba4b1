"""Answers with something that is no action."""

from __future__ import annotations

from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Wrong(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        return {"continuous": ["up", {"a bit": None}]}


def make_policy() -> object:
    return Wrong()
