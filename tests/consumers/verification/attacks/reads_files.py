"""Reads what belongs to the machine: passwords, root's home, our code, disks."""

from __future__ import annotations

import os
from pathlib import Path

from attempts import Attempts  # type: ignore[import-not-found]

PATHS = (
    *("/etc/shadow", "/etc/passwd", "/root", "/home", "/var", "/sys", "/run", "/old", "/new", "/dev/mem", "/dev/vda"),
    *(
        "/proc/1/root/etc",
        "/proc/1/cwd/etc",
        "/proc/kcore",
        "../../../../../etc/shadow",
        "/proc/self/root/../etc/shadow",
    ),
)


def read(path: str) -> object:
    return os.listdir(path) if os.path.isdir(path) else Path(path).read_bytes()[:10]


def make_policy() -> object:
    return Attempts({path: lambda path=path: read(path) for path in PATHS})
