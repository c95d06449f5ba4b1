"""Looks for our settings in its own environment and in those of the processes that it can see."""

from __future__ import annotations

import os
from pathlib import Path

from attempts import Attempts  # type: ignore[import-not-found]


def ours(text: str) -> str:
    if not any(name in text for name in ("KINITRO", "PYTEST", "PWD", "VIRTUAL_ENV")):
        raise FileNotFoundError("nothing of ours")
    return text


def make_policy() -> object:
    return Attempts(
        {
            "own": lambda: ours(repr(os.environ)),
            "own, by the kernel": lambda: ours(Path("/proc/self/environ").read_text()),
            "parent": lambda: ours(Path(f"/proc/{os.getppid()}/environ").read_text()),
            "first": lambda: ours(Path("/proc/1/environ").read_text()),
        }
    )
