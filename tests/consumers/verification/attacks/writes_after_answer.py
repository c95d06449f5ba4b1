"""Writes garbage to the pipe of the answers once its answer is there."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from answer_pipe import answers  # type: ignore[import-not-found]
from attempts import Harmless  # type: ignore[import-not-found]


def later() -> None:
    time.sleep(0.2)
    os.write(answers(), b"garbage" * 100)


class Garbage(Harmless):  # type: ignore[misc]
    def reset(self, task_config: dict[str, Any]) -> None:
        threading.Thread(target=later).start()

    def act(self, obs: dict[str, Any]) -> Any:
        time.sleep(1)
        return super().act(obs)


def make_policy() -> object:
    return Garbage()
