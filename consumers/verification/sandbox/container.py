"""What a container for a policy is made of, in the words of the engine's API: nothing that is not needed.

network            none
files              an empty image, read-only, with the same files bound read-only as in the kernel sandbox; `/tmp`
processes          as many as allowed, in a pid namespace that ends with `container_init`
privileges         nobody, no capabilities, no new privileges; the engine's filter of system calls, and ours
resources          memory without swap, one core, rlimits (`rlimits`)
traces             no log, no restart, removed by the engine as soon as it ends
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from consumers.verification.sandbox.interpreter import View
from consumers.verification.sandbox.protocol import Limits

NOBODY = 65534
CORES = 1
INODES_MAX = 10_000
ADDRESS_SPACE_BEYOND_MEMORY_BYTES = 1 << 30
"""As in the kernel sandbox: reserved and never used."""
ALIVE_BEYOND_TOTAL_S = 30.0
"""How long after the time of the whole session a container may live that nobody ended."""
OOM_SCORE_ADJ = 1000
"""Should the machine have no memory left, the kernel looks here before it looks at us."""
INIT_MODULES = ("container_init", "kernel", "seccomp", "rlimits", "usage")
INIT_ROOT = "/kinitro"
START_INIT = f"""
import sys
sys.path.insert(0, "{INIT_ROOT}")
from consumers.verification.sandbox.container_init import main
main()
"""
NO_PROGRAMS = "noexec,nosuid,nodev"
EMPTY = f"ro,{NO_PROGRAMS},mode=0755,size=4k"
MASKED = (
    *("/sys", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"),
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
    *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
)
"""What an engine adds to every container and a policy has no use for, and what engines mask by themselves."""


def configuration(image: str, view: View, limits: Limits, labels: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /containers/create`. `image`: its digest."""
    policys_limits = {
        **asdict(limits),
        "address_space_bytes": limits.memory_bytes + ADDRESS_SPACE_BEYOND_MEMORY_BYTES,
        "alive_s": limits.start_s + limits.total_s + ALIVE_BEYOND_TOTAL_S,
    }
    specification = {"limits": policys_limits, "command": view.command, "environment": view.environment}
    return {
        "Image": image,
        "Labels": dict(labels),
        "Entrypoint": [view.command[0], "-I", "-S", "-B", "-c", START_INIT, json.dumps(specification)],
        "Env": [f"{name}={value}" for name, value in view.environment.items()],
        "User": f"{NOBODY}:{NOBODY}",
        "WorkingDir": "/",
        "StopSignal": "SIGKILL",
        "Hostname": "sandbox",
        "NetworkDisabled": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": _host_configuration(view, limits),
    }


def _host_configuration(view: View, limits: Limits) -> dict[str, Any]:
    memory_bytes = limits.memory_bytes + limits.scratch_bytes
    scratch = f"rw,{NO_PROGRAMS},mode=1777,size={limits.scratch_bytes},nr_inodes={INODES_MAX}"
    return {
        "AutoRemove": True,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},
        "NetworkMode": "none",
        "IpcMode": "none",
        "CgroupnsMode": "private",
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "MaskedPaths": list(MASKED),
        "ReadonlyRootfs": True,
        "Mounts": [_bound(source, target) for source, target in _files(view)],
        "Tmpfs": dict.fromkeys(view.hidden, EMPTY) | {"/tmp": scratch},  # noqa: S108
        "Memory": memory_bytes,
        "MemorySwap": memory_bytes,
        "NanoCpus": CORES * 1_000_000_000,
        "PidsLimit": limits.processes + 1,  # `container_init` is one
        "OomScoreAdj": OOM_SCORE_ADJ,
    }


def _files(view: View) -> list[tuple[str, str]]:
    """An image without files has no links either: what they lead to is bound in their place."""
    ours = Path(__file__).parent
    init = [
        (str(ours / f"{name}.py"), f"{INIT_ROOT}/consumers/verification/sandbox/{name}.py") for name in INIT_MODULES
    ]
    return [*view.binds, *((os.path.realpath(path), path) for path, _ in view.links), *init]


def _bound(source: str, target: str) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": os.path.realpath(source),
        "Target": target,
        "ReadOnly": True,
        "BindOptions": {"NonRecursive": True},  # what is mounted below would not be read-only
    }
