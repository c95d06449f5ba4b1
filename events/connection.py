"""A connection to NATS on which nothing waits unseen: what is sent goes over the present connection or fails at once.

NatsError
├── NoAnswer    nobody has answered: not connected, connection lost, nobody responsible, or too late
└── Refused     JetStream has answered with an error
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from logging import DEBUG, WARNING
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import nats.errors
import structlog

from events import frames
from events.client import DirectClient
from events.log import BadLogUrl, LogUnavailable

logger = structlog.get_logger(__name__)

TRY_S = 3.0
"""How long one request may take before it counts as unanswered."""

RECONNECT_PAUSE_S = 0.25

SCHEMES = ("nats", "tls", "ws", "wss")
"""What the URL of a server may begin with."""

NO_RESPONDERS = b"NATS/1.0 503"
"""How the header block begins with which the server itself answers a request that nobody listens to."""

BUSY = 503
"""The status of an answer that says: ask again later."""

STORE_FAILED = 10_077
"""Bears that status too, but means that a limit of the stream is reached."""


class NatsError(Exception):
    """A request to the server came to nothing."""


class NoAnswer(NatsError):
    """Nobody has answered. What was asked for may have been done."""


class Refused(NatsError):
    """JetStream says no: `code` is its own number for the reason."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code, self.description = code, description


class Connection:
    """Requests over one nats-py client, which reconnects by itself and for ever."""

    def __init__(self, url: str, name: str) -> None:
        self.client, self.url, self.name = DirectClient(), url, name
        self.on_lost: set[Callable[[], None]] = set()
        """Called whenever the connection breaks."""
        self.losses = 0
        """How often it has."""
        self._inbox = ""
        self._address = "the NATS server"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._asked = 0

    @property
    def payload_max(self) -> int:
        """How long a message may be, headers included."""
        return int(self.client.max_payload)

    async def ask(self, build: Callable[[str], bytes], *, timeout_s: float = TRY_S) -> dict[str, Any]:
        """Sends what `build` makes for a reply subject, and returns the JSON object that comes back.

        Raises:
            NoAnswer: see the class.
            Refused: the answer is a JetStream error.
        """
        reply, answer = self.expect()
        try:
            async with asyncio.timeout(timeout_s):
                await self.send(build(reply))
                return parse(await answer)
        except TimeoutError:
            raise NoAnswer(f"no answer from {self.address} in {timeout_s:g} s") from None
        finally:
            self.forget(reply)

    async def api(self, call: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Calls JetStream's API: `STREAM.INFO.KINITRO_EVENTS`, for example.

        Raises:
            NoAnswer, Refused: as `ask`.
        """
        body = json.dumps(request).encode() if request else b""
        return await self.ask(lambda reply: frames.request(f"$JS.API.{call}", reply, body))

    def expect(self) -> tuple[str, asyncio.Future[bytes]]:
        """A subject for one answer, and the answer. `forget` it afterwards."""
        self._asked += 1
        reply = f"{self._inbox}.{self._asked}"
        answer = self._waiting[reply] = asyncio.get_running_loop().create_future()
        return reply, answer

    def forget(self, reply: str) -> None:
        answer = self._waiting.pop(reply)
        if not answer.cancel() and not answer.cancelled():
            answer.exception()  # marks a failure that nobody waits for any more as seen

    async def send(self, buffer: bytes) -> None:
        """Writes whole frames past the client's own buffer, which would keep them until after a reconnect.

        Raises:
            NoAnswer: not connected.
        """
        transport = self.client._transport
        if not self.client.is_connected or transport is None:
            raise NoAnswer(f"not connected to {self.address}")
        transport.write(buffer)
        try:
            await transport.drain()  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError) as error:
            raise NoAnswer(f"lost the connection to {self.address}: {error}") from error

    @property
    def address(self) -> str:
        """Host and port of the present server, or the last one; without credentials."""
        if url := self.client.connected_url:
            self._address = f"{url.hostname}:{url.port}"
        return self._address

    async def close(self) -> None:
        self._lose(NoAnswer("the connection was closed"))
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):  # the two last: it was lost already
            async with asyncio.timeout(TRY_S):
                await self.client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _open(self, servers: list[str], timeout_s: float) -> None:
        last: list[Exception] = []

        async def on_error(error: Exception) -> None:
            last[:] = [error]
            level = DEBUG if isinstance(error, OSError | nats.errors.Error) else WARNING
            logger.log(level, "NATS client", error=repr(error), connection=self.name)

        try:
            async with asyncio.timeout(timeout_s):
                await self.client.connect(
                    servers,
                    name=self.name,
                    connect_timeout=2,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_PAUSE_S,  # type: ignore[arg-type]  # is used as a float
                    ping_interval=5,
                    max_outstanding_pings=2,
                    error_cb=on_error,
                    disconnected_cb=self._on_lost,
                    reconnected_cb=self._on_reconnected,
                )
                logger.debug("connected to NATS", server=self.address, connection=self.name)
                self._inbox = self.client.new_inbox()
                await self.client.subscribe_directly(f"{self._inbox}.*", self._on_answer)
                await self.client.flush(timeout=TRY_S)  # type: ignore[arg-type]  # is used as a float
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await self.client.close()
            reason = last[0] if last else error
            raise LogUnavailable(
                f"no NATS server at {', '.join(map(_without_credentials, servers))} after {timeout_s:g} s"
                f" ({type(reason).__name__}: {reason}): start one, or correct --nats-url"
            ) from error

    async def _on_lost(self) -> None:
        if not self.client.is_closed:
            logger.warning("lost the connection to NATS", server=self.address, connection=self.name)
        self._lose(NoAnswer(f"lost the connection to {self.address}"))

    async def _on_reconnected(self) -> None:
        logger.info("connected to NATS again", server=self.address, connection=self.name)

    def _lose(self, reason: NoAnswer) -> None:
        self.losses += 1
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(reason)
        for callback in list(self.on_lost):
            callback()

    def _on_answer(self, subject: bytes, _: bytes, headers: bytes, body: bytes) -> None:
        answer = self._waiting.get(subject.decode())
        if answer is None or answer.done():
            return
        if headers.startswith(NO_RESPONDERS):
            answer.set_exception(
                NoAnswer(f"nobody at {self.address} is responsible: is JetStream enabled and ready?")
            )
        else:
            answer.set_result(body)


async def connect(url: str, name: str, *, timeout_s: float = 10.0) -> Connection:
    """A connection to one of the servers in `url` (several are separated by commas); `name` is for the operator.

    Raises:
        BadLogUrl: one of them is not the URL of a NATS server.
        LogUnavailable: none answers in time.
    """
    servers = [server.strip() for server in url.split(",")]
    for server in servers:
        _check_url(server)
    connection = Connection(url, name)
    await connection._open(servers, timeout_s)
    return connection


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port out of range, an address that is none
        usable = False
    if not usable:
        raise BadLogUrl(
            f"{_without_credentials(url)!r} is not the URL of a NATS server; write it as nats://host:port"
        )


def _without_credentials(url: str) -> str:
    return url.rpartition("@")[2].rpartition("//")[2]


def parse(answer: bytes) -> dict[str, Any]:
    """The JSON object that JetStream has answered with.

    Raises:
        NoAnswer: it says that it cannot answer now.
        Refused: it is an error.
    """
    document: dict[str, Any] = json.loads(answer)
    if error := document.get("error"):
        code, description = error.get("err_code", 0), error.get("description", "unknown error")
        if error.get("code") == BUSY and code != STORE_FAILED:
            raise NoAnswer(f"JetStream is not ready: {description} ({code})")
        raise Refused(code, description)
    return document
