"""How much memory this process came to need, by the kernel's count."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OWN = Path("/proc/self")


@dataclass
class Growth:
    mib: float = 0.0
    """How far the peak rose above what was there at the start. Known at the end."""


@contextmanager
def memory_growth() -> Iterator[Growth]:
    gc.collect()  # what earlier tests left must not make room meanwhile
    (OWN / "clear_refs").write_text("5")  # begins a new peak
    growth = Growth()
    before = _peak_mib()
    yield growth
    growth.mib = _peak_mib() - before


def _peak_mib() -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", (OWN / "status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024
