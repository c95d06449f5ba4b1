"""The API as a process.

ListenError
├── PortInUse       somebody else listens there
└── CannotListen    no such address here, or not permitted
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from api.app import assembled
from api.connections import BreakableProtocol, OpenWebSocket
from api.settings import ApiSettings
from events.for_people import ForPeople

SHUTDOWN_TIMEOUT_S = 5
BACKLOG = 1024
NO_PROXIES = ""
MESSAGE_BYTES_MAX = 4_096
"""Of a WebSocket's client, from which nothing is expected."""


class ListenError(ForPeople):
    """The API cannot listen where it was told to."""


class PortInUse(ListenError):
    """Somebody else listens there; stop that, or choose another port."""


class CannotListen(ListenError):
    """No such address on this machine, or not permitted; choose another host or port."""


class _Server(uvicorn.Server):
    """Ends when told to, not by signals: those belong to the command that runs us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_api(settings: ApiSettings, host: str, port: int, stop: asyncio.Event) -> None:
    """Serves until `stop` is set; requests under way get `SHUTDOWN_TIMEOUT_S` to end.

    Raises:
        PortInUse, CannotListen: before anything was started.
        BadDatabaseUrl: not a URL of PostgreSQL.
    """
    with listening(host, port) as listener:
        await serve(assembled(settings, stopping=stop), listener, stop, trusted_proxies=settings.trusted_proxies)


async def serve(
    app: ASGIApp, listener: socket.socket, stop: asyncio.Event, *, trusted_proxies: str = NO_PROXIES
) -> None:
    """Any ASGI application, as the API is served."""
    server = _Server(
        uvicorn.Config(
            app,
            http=BreakableProtocol,
            ws=OpenWebSocket,
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_per_message_deflate=False,
            lifespan="auto",
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=trusted_proxies,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )
    )
    stopping = asyncio.create_task(_stop(server, stop))
    try:
        await server.serve(sockets=[listener])
    finally:
        stopping.cancel()


async def _stop(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that is bound and listens.

    Raises:
        PortInUse, CannotListen: what is wrong with host or port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error}; choose another --host") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            raise _refusal(host, port, error) from error
        yield listener


def _refusal(host: str, port: int, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"port {port} on {host} is in use: stop what listens there, or choose another --port")
    return CannotListen(f"cannot listen on {host}:{port}: {error.strerror}; choose another --host or --port")
