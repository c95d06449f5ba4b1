"""The end of a container: removed for good, whatever else happens."""

from __future__ import annotations

import asyncio
import json

import structlog
from aiodocker import Docker
from aiodocker.containers import DockerContainer

from consumers.verification.sandbox.owners import LABEL, is_orphan, ourselves
from sim.runtime.docker import remove

log = structlog.stdlib.get_logger(__name__)

REMOVAL_S = 30.0


class Removal:
    """Of one container, once. `creation` is waited for, for an engine goes on with what nobody waits for any more."""

    def __init__(self, engine: Docker, name: str, creation: asyncio.Task[DockerContainer]) -> None:
        self._engine, self._name, self._creation = engine, name, creation
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Does not wait."""
        if self._task is None:
            self._task = asyncio.create_task(self._removed())

    async def done(self) -> None:
        """When it returns there is no such container, or the log says that there is one."""
        self.begin()
        assert self._task is not None
        await asyncio.shield(self._task)

    async def _removed(self) -> None:
        try:
            async with asyncio.timeout(REMOVAL_S):
                await asyncio.gather(self._creation, return_exceptions=True)
                await remove(self._engine, self._name)
        except TimeoutError:
            log.warning("a container could not be removed; the next verifier will", container=self._name)


async def remove_orphans(engine: Docker) -> None:
    """Removes the containers of verifiers that are dead.

    Raises:
        DockerError: the engine did not answer.
    """
    us = ourselves()
    filters = json.dumps({"label": [LABEL]})
    for container in await engine.containers.list(all=True, filters=filters):
        if is_orphan(container["Labels"], us):
            log.info("removing a container of a dead verifier", container=container.id)
            await remove(engine, container.id)
