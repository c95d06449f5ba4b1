"""A Docker engine, as all who use one see it: bounded waits, its troubles in one line, containers removed for good.

EngineUnusable    nothing can be run there; the message says why, and what to do
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from events.for_people import ForPeople

ENGINE = "unix:///var/run/docker.sock"
ANSWER_S = 30.0
"""How long the engine may take to answer, streams excepted."""
AGAIN_S = 0.05
NOT_FOUND, CONFLICT = 404, 409
TROUBLES = (DockerError, aiohttp.ClientError, OSError, TimeoutError)
"""What an engine that is away, restarting, or unwilling shows as."""


class EngineUnusable(ForPeople):
    """The engine does not answer, refuses us, or has not what is needed."""


def is_address(url: str) -> bool:
    """Whether this names an engine: `unix:///PATH` or `tcp://HOST:PORT`."""
    try:
        parts = urlsplit(url)
        valid = parts.path.startswith("/") if parts.scheme == "unix" else bool(parts.hostname and parts.port)
    except ValueError:
        return False
    return valid and parts.scheme in ("unix", "tcp")


def engine_at(url: str) -> Docker:
    """A client whose requests have a time limit, streams excepted."""
    return Docker(url, timeout=aiohttp.ClientTimeout(total=ANSWER_S))


async def answering(engine: Docker, url: str) -> Mapping[str, Any]:
    """What it says of itself, as `docker info` does.

    Raises:
        EngineUnusable: it cannot be reached, or not by us.
    """
    try:
        return await engine.system.info()
    except TROUBLES as error:
        if _is_refused(error):
            raise EngineUnusable(
                f"this user may not use the Docker engine at {url}: permission denied; make it a member of the group"
                " that the socket belongs to (docker, usually), or run as root"
            ) from error
        raise EngineUnusable(
            f"no Docker engine answers at {url}: start one there, or give its address with --docker-host"
            f" ({told(error)})"
        ) from error


async def image_at(engine: Docker, url: str, name: str, remedy: str) -> dict[str, Any]:
    """An image, as `docker image inspect` shows it.

    Raises:
        EngineUnusable: there is none of this name; `remedy` says how to get one.
    """
    try:
        image: dict[str, Any] = await engine.images.inspect(name)
    except DockerError as error:
        if error.status == NOT_FOUND:
            raise EngineUnusable(f"the Docker engine at {url} has no image {name}: {remedy}") from error
        raise EngineUnusable(f"the Docker engine at {url} cannot show image {name}: {told(error)}") from error
    except TROUBLES as error:
        raise EngineUnusable(f"the Docker engine at {url} does not answer: {told(error)}") from error
    return image


async def remove(engine: Docker, name: str) -> None:
    """Returns when the engine knows no such container; has no time-out of its own."""
    container = engine.containers.container(name)
    while True:
        try:
            await container.delete(force=True, v=True)
        except DockerError as error:
            if error.status == NOT_FOUND:
                return
        except (aiohttp.ClientError, OSError):
            pass  # the engine may be restarting
        await asyncio.sleep(AGAIN_S)


def told(error: BaseException) -> str:
    """An error of an engine in one line."""
    message = error.message if isinstance(error, DockerError) else str(error)
    return " ".join(message.split()) or type(error).__name__


def _is_refused(error: BaseException) -> bool:
    """Aiodocker gives every failure to connect the same status; what the system said is the cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.EACCES, errno.EPERM):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
