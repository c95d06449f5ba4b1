"""Workers in containers: the image they need, where their sockets are, and whose they are.

The owner of a machine's containers is a home (`KINITRO_HOME`), held by one executor at a time. So whatever bears its
name when an executor starts was left by one that died.

Misused           another executor holds the home, or its path is too long for sockets
EngineUnusable    no engine, no permission, no image, or an image of other sources
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiodocker import Docker

from consumers.simulation.executor import DRAIN_S, Workers
from consumers.simulation.worker_metrics import ANSWER_S
from events.cli import Misused
from sim.runtime import sources
from sim.runtime.children import Child
from sim.runtime.container_configuration import SCRATCH, SHARED, Place, Probe, Wanted
from sim.runtime.container_limits import ContainerLimits
from sim.runtime.containers import Containers, containers_of
from sim.runtime.docker import TROUBLES, EngineUnusable, answering, engine_at, image_at, told
from sim.runtime.locks import tried
from sim.versions import PROCESS_ENVIRONMENT

USER = 10001
"""Of the image. An executor that is not root uses its own, so that it can reach the sockets; none is root."""
SOCKET = f"{SHARED}/metrics.sock"
SOCKET_PATH_MAX = 107
PROBE = Probe(f"""
import socket
asking = socket.socket(socket.AF_UNIX)
asking.settimeout(8)
asking.connect({SOCKET!r})
asking.sendall(b"GET /metrics HTTP/1.0\\r\\n\\r\\n")
assert asking.recv(12).endswith(b"200")
""")
DIRECTORY = "containers"
"""In KINITRO_HOME."""


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """What an operator decides about workers in containers."""

    engine: str
    """URL."""
    image: str
    limits: ContainerLimits
    home: Path
    environment: Mapping[str, str]
    """What a worker goes by, as variables."""
    files: tuple[Path, ...] = ()
    """Which files those name."""


@asynccontextmanager
async def in_containers(
    settings: ContainerSettings, names: Sequence[str], *, metrics: bool
) -> AsyncIterator[Workers]:
    """These workers, each in a container of its own. Those of an executor that died are adopted or removed.

    Raises:
        Misused, EngineUnusable: see the module.
    """
    directory = _directory(settings.home, len(names))
    with tried(directory / "lock") as ours:
        if not ours:
            raise Misused(
                f"another executor has its containers by KINITRO_HOME {settings.home}: stop it, or give this one"
                " another --home"
            )
        async with engine_at(settings.engine) as engine:
            place = await _place(engine, settings, _owner(directory))
            sockets, wanted = {}, []
            for number, name in enumerate(names, start=1):
                shared = _shared(directory, number, place) if metrics else None
                sockets[name] = _directory_of(directory, number) / Path(SOCKET).name
                wanted.append(_wanted(settings, number, name, shared))
            async with containers_of(engine, settings.engine, place) as containers:
                try:
                    await containers.take_over(wanted)
                except TROUBLES as error:
                    raise EngineUnusable(f"the Docker engine at {settings.engine}: {told(error)}") from error
                children = [_child(containers, each) for each in wanted]
                yield Workers(children, sockets, lambda: _answers(engine, settings.engine))


async def _place(engine: Docker, settings: ContainerSettings, owner: str) -> Place:
    information = await answering(engine, settings.engine)
    remedy = f"make it with `kinitro build-eval-env --tag {settings.image}`"
    image = await image_at(engine, settings.engine, settings.image, remedy)
    holds, ours = (image["Config"].get("Labels") or {}).get(sources.LABEL), sources.digest()
    if holds != ours:
        raise EngineUnusable(
            f"image {settings.image} was not built from these sources of kinitro (label {sources.LABEL}: expected"
            f" {ours}, got {holds or 'none'}), and its episodes might not be the same: {remedy}"
        )
    user, group = (os.getuid(), os.getgid()) if os.getuid() else (USER, USER)
    return Place(owner, image["Id"], user, group, settings.limits, max(1, int(information["NCPU"])))


async def _answers(engine: Docker, url: str) -> bool:
    try:
        async with asyncio.timeout(ANSWER_S):
            await answering(engine, url)
    except (EngineUnusable, TimeoutError):
        return False
    return True


def _wanted(settings: ContainerSettings, number: int, name: str, shared: Path | None) -> Wanted:
    return Wanted(
        f"worker {number}",
        ("worker", "--name", name, "--metrics-socket", SOCKET),
        {**settings.environment, **PROCESS_ENVIRONMENT, "KINITRO_HOME": f"{SCRATCH}/kinitro", "HOME": SCRATCH},
        shared,
        settings.files,
        PROBE,
    )


def _child(containers: Containers, wanted: Wanted) -> Child:
    return Child(wanted.child, wanted.command, stop_grace_s=DRAIN_S, launch=containers.launching(wanted))


def _directory(home: Path, workers: int) -> Path:
    """Where the owner's name, the lock and the sockets are."""
    directory = home / DIRECTORY
    longest = len(os.fsencode(_directory_of(directory, workers) / Path(SOCKET).name))
    if longest > SOCKET_PATH_MAX:
        raise Misused(
            f"KINITRO_HOME {home} is too long for sockets in it ({longest} bytes, at most {SOCKET_PATH_MAX}):"
            " choose a shorter --home"
        )
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _directory_of(directory: Path, number: int) -> Path:
    return directory / str(number)


def _shared(directory: Path, number: int, place: Place) -> Path:
    """A directory in which the container's user alone, and root, can make a socket."""
    shared = _directory_of(directory, number)
    shared.mkdir(mode=0o700, exist_ok=True)
    if shared.stat().st_uid != place.user:
        os.chown(shared, place.user, place.group)
    return shared


def _owner(directory: Path) -> str:
    """The name of this home on every container of it; made once."""
    path = directory / "owner"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        owner = secrets.token_hex(16)
        path.write_text(owner)
        return owner
