"""Writes everywhere but in the scratch directory: code, interpreter, kernel settings, the terminal."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from attempts import MARK, Attempts  # type: ignore[import-not-found]

DIRECTORIES = (
    *("/", "/policy", "/packages", "/dev", "/proc", "/proc/self", "/usr/lib", "/lib", "/etc", "/var/tmp", "/root"),
    *(str(Path(np.__file__).parent), str(Path(os.__file__).parent), "/dev/shm", "/run", "/sys/fs/cgroup"),
)
FILES = (
    *("/runner.py", "/policy/policy.py", os.__file__, np.__file__, "/etc/ld.so.cache", "/dev/tty", "/dev/console"),
    *("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"),
)


def append(path: str) -> object:
    with open(path, "a") as file:
        return file.write("1")


def spared() -> object:
    """When memory runs out; to be the first to go is everybody's right."""
    return Path("/proc/self/oom_score_adj").write_text("-1000")


def make_policy() -> object:
    return Attempts(
        {
            **{path: partial(Path(path, MARK).write_text, "x") for path in DIRECTORIES},
            **{path: partial(append, path) for path in FILES},
            "spared": spared,
            "delete": lambda: os.remove("/policy/policy.py"),
            "rename": lambda: os.rename("/policy", "/tmp/policy"),
            "link": lambda: os.link("/policy/policy.py", "/tmp/policy.py"),
            "mode": lambda: os.chmod("/policy/policy.py", 0o777),
        }
    )
