"""An engine with the image of a worker, and `kinitro executor --runtime docker` on it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from sim.runtime import sources
from sim.runtime.container_configuration import OWNER
from sim.runtime.docker import NOT_FOUND, engine_at
from tests.fixtures.docker_engine import Engine, engine
from tests.fixtures.docker_images import worker_image
from tests.system.backends import kinitro

IMAGE, PYTHON = "kinitro-tests/worker:1", "kinitro-tests/python:1"
ENDED_S = 90.0


@dataclass(frozen=True)
class Workers:
    """`IMAGE` runs `kinitro`, `PYTHON` the program that it is given; both have the same files."""

    engine: Engine

    @property
    def url(self) -> str:
        return self.engine.url

    async def of(self, home: Path) -> dict[str, dict[str, Any]]:
        """The containers of a home, running or not, by their names."""
        async with engine_at(self.url) as docker:
            return await shown(docker, _owner(home))

    async def running(self, home: Path) -> dict[str, str]:
        """Name -> container."""
        return {name: each["Id"] for name, each in (await self.of(home)).items() if each["State"]["Running"]}


def _owner(home: Path) -> str:
    path = home / "containers" / "owner"
    return path.read_text() if path.exists() else "nobody"


async def shown(docker: Docker, owner: str) -> dict[str, dict[str, Any]]:
    """All containers of an owner, as the engine shows them, by name."""
    found = {}
    for container in await docker.containers.list(all=True, filters=f'{{"label": ["{OWNER}={owner}"]}}'):
        try:
            it = await container.show()
        except DockerError as error:
            if error.status != NOT_FOUND:  # it went meanwhile
                raise
        else:
            found[it["Name"].lstrip("/")] = it
    return found


@contextmanager
def workers_engine() -> Iterator[Workers]:
    """
    Raises:
        NoEngine: there can be none here.
    """
    with engine() as made:
        worker_image(made, IMAGE, [f"{sources.LABEL}={sources.digest()}"])
        change = f'FROM {IMAGE}\nENTRYPOINT ["/usr/local/bin/python", "-u", "-c"]\n'
        made.command("build", "--tag", PYTHON, "-", text=change)
        yield Workers(made)


class Executor:
    """One `kinitro executor --runtime docker`, whose workers are containers."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self.process, self._output = process, output

    @property
    def output(self) -> str:
        return self._output.read_text()

    async def ended(self) -> int:
        async with asyncio.timeout(ENDED_S):
            return await self.process.wait()

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()


@asynccontextmanager
async def executor(workers: Workers, home: Path, nats_url: str, *options: str) -> AsyncIterator[Executor]:
    """Killed at the end if it still runs; then its containers are the engine's to remove."""
    output = home / "output"
    with output.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *kinitro("--home", str(home), "executor", "--runtime", "docker", "--docker-host", workers.url),
            *("--nats-url", nats_url, "--eval-image", IMAGE, "--eval-mem-limit", "1g", "--allow-private-endpoints"),
            *options,
            env=os.environ | {"KINITRO_HOME": str(home)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=home,
        )
    try:
        yield Executor(process, output)
    except BaseException:
        print(output.read_text()[-10_000:])
        raise
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
