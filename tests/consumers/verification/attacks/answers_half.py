"""Sends the beginning of an answer, and never the rest."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


class Half(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        os.write(answers(), struct.pack("<4sBII", b"KIN1", 1, 2, 100) + b"{")
        time.sleep(3600)
        return {}


def make_policy() -> object:
    return Half()
