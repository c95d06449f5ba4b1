"""What a container may use, as an operator writes it and as an engine wants it.

ValueError    the text is no amount of memory, or names no GPUs
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
"""As Docker reads them: 8g, 8G, 8Gi, 8GB and 8GiB are the same."""
MEMORY_MIN_BYTES = 256 * 2**20
"""Less no worker can start with."""
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgt])(?:ib?|b)?|b)?", re.IGNORECASE | re.ASCII)
GPUS = re.compile(r"all|\d+|\w[\w-]*(,\w[\w-]*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """Of one container."""

    memory_bytes: int
    """Without swap."""
    cpus: float
    """Cores at most; an engine with fewer gives what it has."""
    pids: int
    """Processes and threads."""
    gpus: str | None = None
    """`all`, how many, or which (identifiers, separated by commas); None for none."""


def memory_bytes(text: str) -> int:
    """From 8g, 8Gi, 8GB, 512m, or a number of bytes.

    Raises:
        ValueError: it is no amount, or too little for a worker.
    """
    match = AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected an amount of memory such as 8g, 8Gi or 512m, got {text!r}")
    amount = int(float(match[1]) * UNITS[(match[2] or "").lower()])
    if amount < MEMORY_MIN_BYTES:
        raise ValueError(f"expected at least {MEMORY_MIN_BYTES >> 20}m, which a worker needs to start, got {text!r}")
    return amount


def device_requests(gpus: str | None) -> list[dict[str, Any]]:
    """The engine's words for `--gpus`.

    Raises:
        ValueError: the text names no GPUs.
    """
    if gpus is None:
        return []
    if not GPUS.fullmatch(gpus) or gpus == "0":
        raise ValueError(f"expected all, a number, or identifiers separated by commas, got {gpus!r}")
    capable = {"Driver": "", "Capabilities": [["gpu"]]}
    if gpus == "all":
        return [capable | {"Count": -1}]
    if gpus.isdecimal():
        return [capable | {"Count": int(gpus)}]
    return [capable | {"DeviceIDs": gpus.split(",")}]
