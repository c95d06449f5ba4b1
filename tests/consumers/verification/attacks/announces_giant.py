"""Announces an answer of 4 GiB and sends none of it."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


class Boaster(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        os.write(answers(), struct.pack("<4sBII", b"KIN1", 1, 2, 0xFFFFFFFF))
        time.sleep(3600)
        return {}


def make_policy() -> object:
    return Boaster()
