"""Containers as a supervisor's children: launched, followed, adopted from an owner that died, and removed.

The life of one: created, started, followed (its log line by line, its health now and then) until it ends, removed. An
engine that is away meanwhile is waited for: the container may well be alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import structlog
from aiodocker import Docker
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError

from sim.runtime.children import Child, Launched, LaunchFailed
from sim.runtime.container_configuration import OWNER, Found, Place, Wanted, adoptable, configuration, name_of
from sim.runtime.container_log import Lines
from sim.runtime.docker import CONFLICT, NOT_FOUND, TROUBLES, engine_at, remove, told

LOOK_S = 5.0
"""How often a running container is looked at for its health."""
START_S, REMOVAL_S = 60.0, 30.0
LAST_LINES_S = 2.0
"""How long the engine may take to hand over what an ended container said."""
PAUSE_S = 1.0
KILLED = 128 + signal.SIGKILL
NO_GPU = "could not select device driver"
FORCE_S = 30.0

log = structlog.get_logger(__name__)


class Containers:
    """Those of one owner on one engine. `containers_of` makes it, and removes what is left at its end."""

    def __init__(self, engine: Docker, url: str, place: Place) -> None:
        self._engine, self._url, self._place = engine, url, place
        self._adopted: dict[str, str] = {}

    async def take_over(self, wanted: Iterable[Wanted]) -> None:
        """Adopts what a dead owner of the same name left and is as wanted; removes the rest.

        Raises:
            One of TROUBLES.
        """
        found = await self._found()
        adopted = adoptable(found, [configuration(self._place, each) for each in wanted])
        for each in found:
            if each.id not in adopted.values():
                log.info("removing a container of an executor that died", container=each.id[:12])
                await _removed(self._engine, each.id)
        self._adopted = adopted

    def launching(self, wanted: Wanted) -> Callable[[Child], Awaitable[Launched]]:
        """What a `Child` needs in order to be this container."""
        return lambda _: self._launch(wanted)

    async def _launch(self, wanted: Wanted) -> Launched:
        """Starts a container, or takes over the one that runs already."""
        adopted = self._adopted.pop(wanted.child, None)
        if adopted is not None:
            log.info("adopted a running container", child=wanted.child, container=adopted[:12])
            return Run(self._url, adopted, wanted.child, from_now=True)
        name = name_of(self._place, wanted.child)
        starting = asyncio.create_task(self._started(wanted, name))
        try:
            return Run(self._url, await asyncio.shield(starting), wanted.child)
        except asyncio.CancelledError:  # an engine goes on with what nobody waits for any more
            await asyncio.gather(starting, return_exceptions=True)
            await _removed(self._engine, name)
            raise
        except TROUBLES as error:
            await _removed(self._engine, name)
            raise LaunchFailed(_why(error)) from error

    async def remove_all(self) -> None:
        """Whatever is left of this owner."""
        try:
            for each in await self._found():
                await _removed(self._engine, each.id)
        except TROUBLES as error:
            log.warning("containers may be left; the next executor removes them", error=told(error))

    async def _started(self, wanted: Wanted, name: str) -> str:
        async with asyncio.timeout(START_S):
            container = await self._created(wanted, name)
            await container.start()
            return str(container.id)

    async def _created(self, wanted: Wanted, name: str) -> DockerContainer:
        body = configuration(self._place, wanted)
        try:
            return await self._engine.containers.create(body, name=name)
        except DockerError as error:
            if error.status != CONFLICT:
                raise
        await remove(self._engine, name)  # one that could not be removed when it ended
        return await self._engine.containers.create(body, name=name)

    async def _found(self) -> list[Found]:
        filters = json.dumps({"label": [f"{OWNER}={self._place.owner}"]})
        listed = await self._engine.containers.list(all=True, filters=filters)
        return [Found(each.id, each["Labels"] or {}, each["State"] == "running") for each in listed]


@asynccontextmanager
async def containers_of(engine: Docker, url: str, place: Place) -> AsyncIterator[Containers]:
    """The owner's containers; nobody else may use the same owner meanwhile. None is left afterwards."""
    containers = Containers(engine, url, place)
    try:
        yield containers
    finally:
        await containers.remove_all()


class Run:
    """One container from its start to its end, as a `Launched`. It has connections of its own."""

    pid = None

    def __init__(self, url: str, container: str, child: str, *, from_now: bool = False) -> None:
        self._id, self._child, self._closed = container, child, False
        self._engine = engine_at(url)
        self._container = self._engine.containers.container(container)
        self._lines = Lines(child, sys.stderr)
        self._listening = asyncio.create_task(self._listen(from_now=from_now), name=f"log of {child}")
        self._ended = asyncio.create_task(self._end(), name=f"end of {child}")

    @property
    def last_words(self) -> str:
        return self._lines.last_words

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def stop(self, number: signal.Signals, grace_s: float) -> bool:
        await self._signal(number)
        done, _ = await asyncio.wait({self._ended}, timeout=grace_s)
        if not done:
            await self._signal(signal.SIGKILL)
            await asyncio.wait({self._ended}, timeout=FORCE_S)
            self._ended.cancel()
            await asyncio.wait({self._ended})
        return bool(done)

    async def _end(self) -> int:
        try:
            status = await self._status()
            await self._tell_why(status)
            await asyncio.wait({self._listening}, timeout=LAST_LINES_S)
            await _removed(self._engine, self._id)
            return status
        finally:
            await self._close()

    async def _status(self) -> int:
        """Waits for the end, whatever becomes of the engine meanwhile."""
        away = False
        while True:
            try:
                ended = await self._container.wait(timeout=aiohttp.ClientTimeout(total=LOOK_S))
                return int(ended["StatusCode"])
            except TROUBLES as error:
                if isinstance(error, DockerError) and error.status == NOT_FOUND:
                    log.warning("the container was removed by somebody else", child=self._child)
                    return KILLED
                if not isinstance(error, TimeoutError) and not away:
                    log.warning("the Docker engine does not answer: waiting", child=self._child, error=told(error))
                away = not isinstance(error, TimeoutError)
            if away:
                await asyncio.sleep(PAUSE_S)
            else:
                await self._end_if_unwell()

    async def _end_if_unwell(self) -> None:
        with contextlib.suppress(*TROUBLES):
            health = (await self._state()).get("Health") or {}
            if health.get("Status") == "unhealthy":
                log.warning("the container is not well: killed", child=self._child, failures=health["FailingStreak"])
                await self._signal(signal.SIGKILL)

    async def _tell_why(self, status: int) -> None:
        with contextlib.suppress(*TROUBLES):
            if (await self._state()).get("OOMKilled"):
                log.warning("the container had no memory left: give it more", child=self._child, status=status)

    async def _state(self) -> Mapping[str, Any]:
        shown: Mapping[str, Any] = (await self._container.show())["State"]
        return shown

    async def _listen(self, *, from_now: bool) -> None:
        """Hands on what it says until it ends."""
        which: dict[str, Any] = {"tail": 0} if from_now else {}
        while not self._ended.done():
            try:
                async for piece in self._container.log(stdout=True, stderr=True, follow=True, **which):
                    self._lines.take(piece)
                if not (await self._state()).get("Running"):
                    return
            except (*TROUBLES, UnicodeDecodeError) as error:
                if isinstance(error, DockerError) and error.status == NOT_FOUND:
                    return
            which = {"tail": 0}
            await asyncio.sleep(PAUSE_S)

    async def _signal(self, number: signal.Signals) -> None:
        if self._closed:
            return
        with contextlib.suppress(*TROUBLES):  # it has ended, or the engine is away and will be asked again
            await self._container.kill(signal=number.name)

    async def _close(self) -> None:
        self._closed = True
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        self._lines.end()
        await self._engine.close()


async def _removed(engine: Docker, name: str) -> None:
    try:
        async with asyncio.timeout(REMOVAL_S):
            await remove(engine, name)
    except TimeoutError:
        log.warning("a container could not be removed; the next executor will", container=name)


def _why(error: BaseException) -> str:
    message = told(error)
    if NO_GPU in message:
        return f"the Docker engine has no GPU to give: ask for none, or install its driver's toolkit ({message})"
    return f"the Docker engine does not start it: {message}"
