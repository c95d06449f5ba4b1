"""Takes messages from a durable pull consumer, and never more than can be worked on at once.

FastStream parses, acknowledges and describes (AsyncAPI); when to pull is decided here, because its own loop
would take a message that waits without a heartbeat until a worker is free, would hold a backlog of pulls over a
disconnection, would never make a lost consumer again, and would swallow a message when it is stopped.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import structlog
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.security import NatsSecurity, NatsToken, NatsUserPassword
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError, ServiceUnavailableError

from consumers.work import Answer, Burial, work_on
from events import server_urls
from events.denials import denial, forbidden_subject
from events.log import AccessDenied, LogUnavailable
from events.server_urls import ServerUrls

CONNECT_S, API_S = 10.0, 2.0
PULL_S = 1.0
"""How long one pull waits for a message. It is also how soon a stop, or a server that came back, is noticed."""
PAUSE_MIN_S, PAUSE_MAX_S, PAUSE_DOUBLINGS = 0.1, 2.0, 5
RECONNECT_PAUSE_S = 0.25
EMPTY_MAX = 10
"""After so many pulls without a message the consumer is looked for: nobody may be there to have one."""
SILENT_MAX = 2
"""So many looks without an answer, and another server of the cluster is tried (`events.connection`)."""
CANCEL_S = 10.0
"""How long cancelled work may take to hand itself back."""

Handle = Callable[[NatsMessage], Awaitable[Answer]]

log = structlog.stdlib.get_logger(__name__)


def broker_for(nats_url: str) -> NatsBroker:
    """A broker, not yet connected, that reconnects for ever and logs through the standard library.

    Raises:
        BadLogUrl: as `events.connection.connect`.
    """
    servers = server_urls.parse(nats_url)
    random.shuffle(servers.urls)

    async def on_error(error: Exception) -> None:
        if (denied := denial(error)) is not None:
            log.warning("NATS client", error=denied)

    return NatsBroker(
        servers.urls,
        dont_randomize=True,  # so that the next one is another one
        security=_security(servers),
        error_cb=on_error,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_PAUSE_S,  # type: ignore[arg-type]  # is used as a float
        ping_interval=5,
        js_options={"timeout": API_S},
        logger=logging.getLogger(__name__),
        log_level=logging.DEBUG,
    )


def _security(servers: ServerUrls) -> NatsSecurity:
    tls: Any = {"ssl_context": servers.tls, "tls_handshake_first": servers.handshake_first}
    match servers.user, servers.password:
        case None, _:
            return NatsSecurity(**tls)
        case token, None:
            return NatsToken(token, **tls)
        case user, password:
            return NatsUserPassword(user, password, **tls)


@asynccontextmanager
async def started(app: FastStream) -> AsyncIterator[None]:
    """The application, connected. Stops it even while the server is away: what it could not answer comes back.

    Raises:
        LogUnavailable: no server answers.
    """
    try:
        async with asyncio.timeout(CONNECT_S):
            await app.start()
    except TimeoutError as error:
        raise LogUnavailable(
            f"no NATS server answers in {CONNECT_S:g} s: start one, or correct --nats-url"
        ) from error
    try:
        yield
    finally:
        try:
            await app.stop()
        except nats.errors.Error as error:
            log.warning("stopped while the server is away", error=repr(error))


class Intake:
    """One durable consumer, worked on by one handler, `slots` messages at a time."""

    def __init__(self, broker: NatsBroker, *, stream: str, consumer: ConsumerConfig, slots: int, title: str) -> None:
        """`stream` exists already; the durable is made as in `consumer` where it is missing.

        Create it before the broker is started.
        """
        filters = consumer.filter_subject or consumer.filter_subjects
        if not (consumer.durable_name and filters and consumer.ack_wait):
            raise ValueError(f"a durable has a name, a filter and a time to acknowledge: {consumer}")
        self._slots = slots
        self._name = f"{stream}.{consumer.durable_name}"
        self._lease_s = float(consumer.ack_wait)
        self._working: set[asyncio.Task[Any]] = set()
        self._burial: Burial | None = None
        self._failed = 0
        self._unanswered = 0
        self._empty = 0
        self._reconnects = 0
        self._subscriber: Any = broker.subscriber(
            consumer.filter_subject or "",
            stream=JStream(stream, declare=False),
            durable=consumer.durable_name,
            config=consumer,
            pull_sub=PullSub(batch_size=1, timeout=PULL_S),
            ack_policy=AckPolicy.MANUAL,
            title=title,
        )

    async def run(self, handle: Handle, stop: asyncio.Event, *, grace_s: float, burial: Burial | None = None) -> None:
        """Works until `stop`, then lets what is running end within `grace_s`, and hands back the rest.

        `burial`: where messages are kept that the handler drops; without it they are gone.

        What the handler raises ends this at once, and is raised here.

        Raises:
            AccessDenied: this user may not pull from the durable.
        """
        self._burial = burial
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stopping.done():
                await self._fill(handle, stopping)
            await self._drain(grace_s)
        finally:
            stopping.cancel()
            await self._hand_back()

    async def _fill(self, handle: Handle, stopping: asyncio.Task[Any]) -> None:
        """One turn: waits for a free slot, and takes one message into it."""
        if len(self._working) >= self._slots:
            await asyncio.wait({*self._working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        elif message := await self._pull():
            work = work_on(message, handle, lease_s=self._lease_s, burial=self._burial)
            self._working.add(asyncio.create_task(work))
        self._collect()

    async def _pull(self) -> NatsMessage | None:
        connection = self._subscriber.connection
        if not connection.is_connected:
            # A pull sent now would wait in the client's buffer, and so would the next one.
            await asyncio.sleep(PAUSE_MIN_S)
            return None
        try:
            if connection.stats["reconnects"] != self._reconnects or self._empty >= EMPTY_MAX:
                # Pulls from before may still be answered, and the consumer may be gone: begin anew.
                self._reconnects, self._empty = connection.stats["reconnects"], 0
                await self._rebind()
            message: NatsMessage | None = await self._subscriber.get_one(timeout=PULL_S)
        except nats.errors.Error as error:
            await self._pause(error)
            return None
        self._failed = self._unanswered = 0
        self._empty = 0 if message else self._empty + 1
        if message is None:
            self._check_right_to_pull(connection.last_error)
        return message

    def _check_right_to_pull(self, error: Exception | None) -> None:
        """A server with accounts says no beside the pull, which then looks as if there were no message."""
        subject = forbidden_subject(error) if error is not None else None
        if subject is not None and ".consumer.msg.next." in subject.lower():
            raise AccessDenied(
                f"the user of KINITRO_BACKEND_NATS_URL may not take messages from {self._name}: that is for another"
                " role; give this one the URL of its own user"
            )

    async def _pause(self, error: nats.errors.Error) -> None:
        self._failed += 1
        self._unanswered = 0 if _is_answer(error) else self._unanswered + 1
        connection = self._subscriber.connection
        if self._unanswered >= SILENT_MAX and len(connection.servers) > 1:
            log.warning("the server is silent: trying another", error=repr(error))
            self._unanswered = 0
            await connection.force_reconnect()
        pause_s = longest_pause_s(self._failed) * random.uniform(0.5, 1.0)
        log.warning("cannot pull", error=repr(error), pause_s=round(pause_s, 3))
        await asyncio.sleep(pause_s)
        self._reconnects = -1

    async def _rebind(self) -> None:
        """A new inbox; the next pull looks for the consumer, and makes it where it is missing."""
        await self._subscriber.stop()
        await self._subscriber.start()

    def _collect(self) -> None:
        done = {task for task in self._working if task.done()}
        self._working -= done
        for task in done:
            task.result()

    async def _drain(self, grace_s: float) -> None:
        if self._working:
            await asyncio.wait(self._working, timeout=grace_s)
            self._collect()

    async def _hand_back(self) -> None:
        for task in self._working:
            task.cancel()
        async with asyncio.timeout(CANCEL_S):
            await asyncio.gather(*self._working, return_exceptions=True)


def longest_pause_s(failed: int) -> float:
    """Seconds to wait after so many pulls in a row (1, 2, ...) have failed, before jitter: doubling, bounded."""
    return min(PAUSE_MIN_S * 2.0 ** min(failed, PAUSE_DOUBLINGS), PAUSE_MAX_S)


def _is_answer(error: nats.errors.Error) -> bool:
    """Whether the server has said no, rather than nothing, or that it cannot say now."""
    return isinstance(error, APIError) and not isinstance(error, ServiceUnavailableError)
