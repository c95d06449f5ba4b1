"""Answers as it should, and leaves processes behind that have no parent, no session and no ears."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from attempts import MARK, Harmless  # type: ignore[import-not-found]


class Parent(Harmless):  # type: ignore[misc]
    def reset(self, task_config: dict[str, Any]) -> None:
        for n in range(5):
            child = os.fork()
            if child == 0:
                os.setsid()
                if os.fork() == 0:
                    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                    with open(f"/tmp/{MARK}-{n}", "w") as file:
                        file.write(str(os.getpid()))
                    while True:
                        time.sleep(3600)
                os._exit(0)
            os.waitpid(child, 0)


def make_policy() -> object:
    return Parent()
