"""The limits of each process of a policy, whichever sandbox it is in."""

from __future__ import annotations

import resource
from typing import Any


def limit_resources(limits: dict[str, Any], *, processes: bool) -> None:
    """`limits`: those of `protocol`, with `address_space_bytes`.

    `processes`: whether their number is limited here too. It counts by user, so that it means something only where
    the user is the policy's own.
    """
    cpu_s = int(limits["cpu_s"]) + 1
    values = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_AS: limits["address_space_bytes"],
        resource.RLIMIT_FSIZE: limits["scratch_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if processes:
        values[resource.RLIMIT_NPROC] = limits["processes"]
    for name, value in values.items():
        _, hard = resource.getrlimit(name)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (allowed, allowed))
