"""Writes garbage to the pipe of the answers, and then its answer."""

from __future__ import annotations

import os
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


class Garbage(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> Any:
        os.write(answers(), b"garbage" * 100)
        return super().act(obs)


def make_policy() -> object:
    return Garbage()
