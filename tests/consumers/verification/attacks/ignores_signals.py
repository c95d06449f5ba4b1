"""Ignores every signal that can be ignored, in a session of its own, and waits."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Deaf(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        if os.fork() == 0:
            os.setsid()
        while True:
            time.sleep(3600)


def make_policy() -> object:
    return Deaf()
