"""Looking host names up, so that no name can keep another one waiting.

Whoever owns a name decides how long a lookup takes, up to the resolver's patience, and a lookup that has begun
cannot be stopped. On a shared pool of threads a few names whose servers never answer would hold up everybody's:
each lookup has a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, cast

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

LOOKUPS_MAX = 256
"""At once, in this process: far more than its episodes need, even if the resolver takes half a minute for each."""

_free = threading.BoundedSemaphore(LOOKUPS_MAX)


class Resolver(AbstractResolver):
    """For aiohttp's connector."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of the host.

        Raises:
            OSError: there is none, or nobody knows; `socket.gaierror` says which.
        """
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in await resolve(host, port, family)
        ]

    async def close(self) -> None:
        """Holds nothing."""


async def resolve(host: str, port: int, family: int = socket.AF_UNSPEC) -> list[AddrInfoType]:
    """`socket.getaddrinfo` for TCP. Abandoned when cancelled; the thread goes on to its end alone.

    Raises:
        OSError, UnicodeError: as `socket.getaddrinfo`.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[AddrInfoType]] = loop.create_future()
    if not _free.acquire(blocking=False):
        raise socket.gaierror(socket.EAI_AGAIN, f"{LOOKUPS_MAX} lookups wait already")
    threading.Thread(target=_look_up, args=(loop, answer, host, port, family), daemon=True).start()
    return await answer


def _look_up(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[list[AddrInfoType]],
    host: str,
    port: int,
    family: int,
) -> None:
    found: list[AddrInfoType] | OSError | ValueError
    try:
        infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = cast("list[AddrInfoType]", infos)
    except (OSError, ValueError) as error:
        found = error
    finally:
        _free.release()
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(_settle, answer, found)


def _settle(answer: asyncio.Future[list[AddrInfoType]], found: list[AddrInfoType] | OSError | ValueError) -> None:
    if answer.done():
        return
    if isinstance(found, list):
        answer.set_result(found)
    else:
        answer.set_exception(found)
