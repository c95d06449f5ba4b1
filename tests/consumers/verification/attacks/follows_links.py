"""Links in its own repository point to files of the machine, and it makes more of them."""

from __future__ import annotations

import os
from pathlib import Path

from attempts import Attempts  # type: ignore[import-not-found]


def through_own(target: str) -> bytes:
    os.symlink(target, f"/tmp/{target.replace('/', '-')}")
    return Path(f"/tmp/{target.replace('/', '-')}").read_bytes()


def make_policy() -> object:
    return Attempts(
        {
            "committed": lambda: Path("link_to_hostname").read_text(),
            "committed, a directory": lambda: os.listdir("link_to_root"),
            "own": lambda: through_own("/etc/hostname"),
            "own, upwards": lambda: through_own("/policy/../../../etc/hostname"),
            "by the kernel": lambda: through_own("/proc/1/root/etc/hostname"),
        }
    )
