"""A connection to NATS on which nothing waits unseen: what is sent goes over the present connection or fails at once.

NatsError
├── NoAnswer      nobody has answered: not connected, connection lost, nobody responsible, or too late
└── Refused       JetStream has answered with an error
    └── Forbidden the server does not let this user send that, and has done nothing
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from logging import DEBUG, WARNING
from types import TracebackType
from typing import Any, Self

import nats.errors
import structlog

from events import frames, server_urls
from events.client import DirectClient
from events.denials import denial, forbidden_subject
from events.log import AccessDenied, LogUnavailable
from events.server_urls import ServerUrls, without_credentials

logger = structlog.get_logger(__name__)

TRY_S = 3.0
"""How long one request may take before it counts as unanswered."""

RECONNECT_PAUSE_S = 0.25

SILENCE_S = 5.0
"""A server of a cluster that has answered nothing for so long is left for another one: it may be cut off from its
peers, and then it takes connections and knows nothing."""

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


class Forbidden(Refused):
    """The server does not let this user send to `subject`. Nothing was done."""

    def __init__(self, subject: str, user: str | None) -> None:
        super().__init__(0, f"user {user!r} may not send to {subject}: that is for another role")
        self.subject = subject

    def __str__(self) -> str:
        return self.description


class Connection:
    """Requests over one nats-py client, which reconnects by itself and for ever."""

    def __init__(self, url: str, name: str, user: str | None = None) -> None:
        self.client, self.url, self.name, self.user = DirectClient(), url, name, user
        self.on_lost: set[Callable[[], None]] = set()
        """Called whenever the connection breaks."""
        self.losses = 0
        """How often it has."""
        self._inbox = ""
        self._address = "the NATS server"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._sent: dict[str, bytes] = {}
        """By reply subject: the frames of a request that waits for its answer."""
        self._asked = 0
        self._denied: str | None = None
        """What was said last of why the server says no: it says so at every try."""
        self._silent_since: float | None = None
        """When the first of the requests was sent that have had no answer; None if the last one had."""

    @property
    def payload_max(self) -> int:
        """How long a message may be, headers included."""
        return int(self.client.max_payload)

    async def ask(self, build: Callable[[str], bytes], *, timeout_s: float = TRY_S) -> dict[str, Any]:
        """Sends what `build` makes for a reply subject, and returns the JSON object that comes back.

        Raises:
            NoAnswer, Forbidden: see the classes.
            Refused: the answer is a JetStream error.
        """
        asked_at = time.monotonic()
        try:
            document = await self._answer(build, timeout_s)
        except NoAnswer:
            await self._leave_if_silent(asked_at)
            raise
        except Refused:
            self._silent_since = None
            raise
        self._silent_since = None
        return document

    async def _answer(self, build: Callable[[str], bytes], timeout_s: float) -> dict[str, Any]:
        reply, answer = self.expect()
        try:
            self._sent[reply] = build(reply)
            async with asyncio.timeout(timeout_s):
                await self.send(self._sent[reply])
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
        self._sent.pop(reply, None)
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

    async def _open(self, servers: ServerUrls, timeout_s: float) -> None:
        last: list[Exception] = []
        denied: list[str] = []
        hopeless = asyncio.Event()

        async def on_error(error: Exception) -> None:
            last[:] = [error]
            if (reason := denial(error)) is not None:
                denied.append(reason)
                if len(denied) >= len(servers.urls):  # one server of a cluster may be wrong, and another one right
                    hopeless.set()
            self._on_error(error)

        opening = asyncio.create_task(self._connect(servers, on_error))
        ending = asyncio.create_task(hopeless.wait())
        try:
            await asyncio.wait({opening, ending}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(0):
                await opening
        except (OSError, TimeoutError, nats.errors.Error) as error:
            opening.cancel()
            await asyncio.wait({opening})
            await self.client.close()
            reason = last[0] if last else error
            where = ", ".join(map(without_credentials, servers.urls))
            if denied:
                raise AccessDenied(f"NATS server {where}: {denied[0]}") from error
            raise LogUnavailable(
                f"no NATS server at {where} after {timeout_s:g} s"
                f" ({type(reason).__name__}: {reason}): start one, or correct --nats-url"
            ) from error
        finally:
            opening.cancel()
            ending.cancel()

    async def _connect(self, servers: ServerUrls, on_error: Callable[[Exception], Awaitable[None]]) -> None:
        await self.client.connect(
            servers.urls,
            name=self.name,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_PAUSE_S,  # type: ignore[arg-type]  # is used as a float
            ping_interval=5,
            max_outstanding_pings=2,
            dont_randomize=True,  # so that the next one is another one; `connect` has mixed them
            error_cb=on_error,
            disconnected_cb=self._on_lost,
            reconnected_cb=self._on_reconnected,
            **servers.options,
        )
        logger.debug("connected to NATS", server=self.address, connection=self.name)
        self._inbox = self.client.new_inbox()
        await self.client.subscribe_directly(f"{self._inbox}.*", self._on_answer)
        await self.client.flush(timeout=TRY_S)  # type: ignore[arg-type]  # is used as a float

    def _on_error(self, error: Exception) -> None:
        subject = forbidden_subject(error)
        if subject is not None and self._forbid(subject):
            return
        denied = denial(error)
        expected = denied is None and isinstance(error, OSError | nats.errors.Error)
        is_news = not expected and denied != self._denied
        self._denied = denied or self._denied
        logger.log(WARNING if is_news else DEBUG, "NATS client", error=denied or repr(error), connection=self.name)

    def _forbid(self, subject: str) -> bool:
        """Whether it was a request that waits: it need wait no longer."""
        asked = re.compile(rb" (%b) " % re.escape(subject.encode()), re.IGNORECASE)
        found = {reply: match[1] for reply, sent in self._sent.items() if (match := asked.search(sent))}
        for reply, as_sent in found.items():
            if not self._waiting[reply].done():
                self._waiting[reply].set_exception(Forbidden(as_sent.decode(), self.user))
        return bool(found)

    async def _leave_if_silent(self, asked_at: float) -> None:
        """Goes to another server of the cluster, if there is one and this one has said nothing for long."""
        self._silent_since = asked_at if self._silent_since is None else self._silent_since
        is_silent = time.monotonic() - self._silent_since > SILENCE_S
        if is_silent and self.client.is_connected and len(self.client.servers) > 1:
            logger.warning("the server is silent: trying another", server=self.address, connection=self.name)
            self._silent_since = None
            await self.client.force_reconnect()

    async def _on_lost(self) -> None:
        if not self.client.is_closed:
            logger.warning("lost the connection to NATS", server=self.address, connection=self.name)
        self._lose(NoAnswer(f"lost the connection to {self.address}"))

    async def _on_reconnected(self) -> None:
        self._denied = None
        self._silent_since = None
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
        AccessDenied: a server answers, but lets nobody in with this password, or is not to be trusted.
        LogUnavailable: none answers in time.
    """
    servers = server_urls.parse(url)
    random.shuffle(servers.urls)
    connection = Connection(url, name, servers.user)
    await connection._open(servers, timeout_s)
    return connection


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
