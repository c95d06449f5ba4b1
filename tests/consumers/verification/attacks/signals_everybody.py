"""Sends signals to init, to its parent, to its group and to everybody; then answers as it should."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Killer(Harmless):  # type: ignore[misc]
    def reset(self, task_config: dict[str, Any]) -> None:
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGHUP):
            for pid in {1, os.getppid(), *range(2, 100)} - {0, os.getpid()}:
                self.send(pid, number)
            self.send(-1, number)

    def send(self, pid: int, number: int) -> None:
        with suppress(OSError):
            os.kill(pid, number)


def make_policy() -> object:
    return Killer()
