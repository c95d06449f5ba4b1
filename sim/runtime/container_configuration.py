"""What a supervised container is made of, in the words of the engine's API, and which found ones are as wanted.

network            the machine's own: servers at loopback are reached as by processes, and nothing is published
files              the image, read-only; `/tmp` in memory, and `/run/kinitro`, unless somebody outside looks into it
privileges         an ordinary user, no capabilities, no new privileges; the engine's filter of system calls
resources          memory without swap, cores, processes, the size of its log
life               no restart by the engine: the supervisor does that, and knows why
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.runtime.container_limits import ContainerLimits, device_requests

OWNER, CHILD, SETTINGS = "kinitro.executor", "kinitro.child", "kinitro.settings"
"""Labels: whose it is, which of its children, and a digest of all that it was made of."""
SHARED = "/run/kinitro"
SCRATCH = "/tmp"  # noqa: S108
SCRATCH_BYTES = 256 * 2**20
LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}}
S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where containers run, and as whom; the same for all of one owner."""

    owner: str
    image: str
    """The digest, which no later change of the name alters."""
    user: int
    group: int
    limits: ContainerLimits
    cores: int
    """Of the engine's machine."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How the engine finds out, from inside, whether a container is well."""

    program: str
    """Python; it fails, or hangs, when the container is not well."""
    every_s: int = 20
    answer_s: int = 10
    failures: int = 3
    """In a row."""
    start_s: int = 120
    """In which failures do not count."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One container."""

    child: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    shared: Path | None = None
    """Directory of ours that is `SHARED` inside."""
    files: tuple[Path, ...] = ()
    """Absolute paths of ours, of what its settings name: there inside as well, and not to be written."""
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A container that an engine knows."""

    id: str
    labels: Mapping[str, str]
    running: bool


def name_of(place: Place, child: str) -> str:
    """Of the container: the same after every restart, so that an engine refuses a second one."""
    return f"kinitro-{place.owner[:12]}-{child.replace(' ', '-')}"


def configuration(place: Place, wanted: Wanted) -> dict[str, Any]:
    """The body of `POST /containers/create`."""
    body = {
        "Image": place.image,
        "Cmd": list(wanted.command),
        "Env": [f"{name}={value}" for name, value in sorted(wanted.environment.items())],
        "User": f"{place.user}:{place.group}",
        "WorkingDir": SCRATCH,
        "Healthcheck": _health(wanted.probe),
        "HostConfig": _host(place, wanted),
    }
    labels = {OWNER: place.owner, CHILD: wanted.child, SETTINGS: _digest(body)}
    return body | {"Labels": labels}


def adoptable(found: Iterable[Found], wanted: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Child -> container: those that run and are made of the same as the wanted bodies. All others are to go."""
    settings = {(body["Labels"][CHILD], body["Labels"][SETTINGS]) for body in wanted}
    return {
        each.labels[CHILD]: each.id
        for each in found
        if each.running and (each.labels.get(CHILD), each.labels.get(SETTINGS)) in settings
    }


def _host(place: Place, wanted: Wanted) -> dict[str, Any]:
    limits = place.limits
    own = f"uid={place.user},gid={place.group},mode=0700"
    tmpfs = {SCRATCH: f"rw,noexec,nosuid,nodev,mode=1777,size={SCRATCH_BYTES}"}
    if wanted.shared is None:
        tmpfs[SHARED] = f"rw,noexec,nosuid,nodev,size=1m,{own}"
    return {
        "NetworkMode": "host",
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "Init": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": tmpfs,
        "Mounts": [
            *([] if wanted.shared is None else [_bound(wanted.shared, SHARED, read_only=False)]),
            *(_bound(file, str(file), read_only=True) for file in wanted.files),
        ],
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(min(limits.cpus, place.cores) * S),
        "PidsLimit": limits.pids,
        "LogConfig": LOG,
        "DeviceRequests": device_requests(limits.gpus),
    }


def _health(probe: Probe | None) -> dict[str, Any]:
    if probe is None:
        return {"Test": ["NONE"]}
    return {
        "Test": ["CMD", "python", "-c", probe.program],
        "Interval": probe.every_s * S,
        "Timeout": probe.answer_s * S,
        "StartPeriod": probe.start_s * S,
        "Retries": probe.failures,
    }


def _bound(ours: Path, inside: str, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(ours), "Target": inside, "ReadOnly": read_only}


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
