"""Computes for nothing, in several processes, each of them within its own limit."""

from __future__ import annotations

import os
import signal
from typing import Any

from attempts import Harmless  # type: ignore[import-not-found]


class Burner(Harmless):  # type: ignore[misc]
    def act(self, obs: dict[str, Any]) -> dict[str, Any]:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        os.fork()
        os.fork()
        while True:
            pass


def make_policy() -> object:
    return Burner()
