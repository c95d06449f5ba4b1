"""Answers questions that were not asked yet."""

from __future__ import annotations

import os
import struct
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


class Prophet(Harmless):  # type: ignore[misc]
    def reset(self, task_config: dict[str, Any]) -> None:
        os.write(answers(), struct.pack("<4sBII", b"KIN1", 1, 7, 2) + b"{}")


def make_policy() -> object:
    return Prophet()
