"""Closes the pipe of its answers and lives on."""

from __future__ import annotations

import os
import time
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


class Mute(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        os.close(answers())
        time.sleep(3600)
        return {}


def make_policy() -> object:
    return Mute()
