"""A miner's policy behind an HTTP endpoint, hostile until proven otherwise.

Bounded in time and bytes; one kept-alive connection per episode; no redirects, no compression, no cookies, no
proxy; nothing is sent to addresses that are not public unless the operator allows it. Endpoints may be
secret, and failures are published: no detail names the endpoint or its address.

What is measured, and held against the deadline, is the policy's own time: see `sim.http.clock`. Connecting
is not in it, and has a limit of its own.

Requests with images are sent as MessagePack to a policy that asks for it (see `sim.encodings`). The answer to
`/reset` decides. If it says nothing, and images are to be sent, `GET /health` is asked, outside all
deadlines; that costs a policy that asks for nothing one request in ten minutes and worker process, not one
per episode, because its silence is remembered. That it did ask is not remembered: another server may be behind
the endpoint by the next episode.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from sim.encodings import Encoding, NonFinite, WireError, WrongShape, advertised
from sim.errors import SimulationFailed
from sim.http.addresses import AddressRefused, socket_factory
from sim.http.clock import GRACE_S, PolicyClock
from sim.http.deadline import Deadline, DeadlinePassed
from sim.http.failures import NOT_A_URL, check_head, doubt_about, explained, late, os_error
from sim.http.names import Resolver
from sim.http.silent_endpoints import SilentEndpoints
from sim.policy import Decision, Doubt, PolicyFailed, PolicyFailure
from sim.rl_interface import decode_action, encode_act_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace, TracebackType

    from aiohttp.connector import AddrInfoType

    from sim.policy import TaskConfig
    from sim.rl_interface import Action, Observation
    from sim.spec import ActionSpec

RESET = "reset"
ACT = "act"
HEALTH = "health"
BODY_BYTES_MAX = 1 << 16
"""A hundred times what an action takes, and little enough to be read and refused in a millisecond or two."""
RECEIVE_BUFFER_BYTES = 1 << 14
"""What the kernel keeps for us, and so the most that one turn of the loop can be made to parse."""
CONNECT_ATTEMPTS_MAX = 4
CONNECT_BACKOFF_S = 0.1
CONNECT_MS = 300.0
"""For connecting anew to a policy that closed its connection, or the deadline if that is longer."""
KEEPALIVE_S = 60.0
HEALTH_S = 5.0
"""As long as a reset may take, so that a server that does one thing at a time is free again for the act."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
HEADERS = {"Accept": "application/json, application/msgpack", "Accept-Encoding": "identity"}

_silent = SilentEndpoints()
"""By their `/health`, to this process."""


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    encoding: Encoding
    latency_ms: float


class HttpPolicy:
    """One policy during one episode, over a connection of its own. Create one per episode; close it.

    Create it inside the running event loop, or use it as `async with HttpPolicy(...) as policy`.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        allow_private_addresses: bool = False,
        body_bytes_max: int = BODY_BYTES_MAX,
        on_connected: Callable[[], None] | None = None,
        speak: Encoding | None = None,
    ) -> None:
        """`endpoint` is an http or https URL, to which `/reset` and `/act` are appended.

        One that is no such URL is the policy's failure, and reported by `reset`. `on_connected` is called
        after each connection to it, TLS included. `speak` is how images are sent, whatever
        the policy asks for.
        """
        self._endpoint = endpoint
        self._urls: dict[str, URL] = {}
        self._body_bytes_max = body_bytes_max
        self._on_connected = on_connected
        self._connections = 0
        self._connect_failed: PolicyFailed | None = None
        self._speak = speak
        self._encoding: Encoding | None = None
        self._clock: PolicyClock | None = None
        self._socket: socket.socket | None = None
        self._create_socket = socket_factory(allow_private=allow_private_addresses)
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._connected)
        tracing.on_request_chunk_sent.append(self._sending)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=1,
                use_dns_cache=False,
                resolver=Resolver(),
                happy_eyeballs_delay=None,
                keepalive_timeout=KEEPALIVE_S,
                socket_factory=self._new_socket,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            trust_env=False,
            trace_configs=[tracing],
        )

    async def __aenter__(self) -> HttpPolicy:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    async def reset(self, task: TaskConfig, *, deadline_ms: float) -> None:
        """`POST /reset`. A connection that cannot be made is tried again a few times within the deadline.

        Raises:
            PolicyFailed, SimulationFailed
        """
        body = Encoding.JSON.dumps({"task_config": task.json()})
        answer = await self._call(RESET, body, Encoding.JSON, deadline_ms=deadline_ms)
        self._encoding = advertised(answer.body)

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        """`POST /act`. The deadline is for the policy's own time, which is the latency returned.

        Raises:
            PolicyFailed, SimulationFailed
        """
        encoding = await self._wanted_encoding() if observation.rgb else Encoding.JSON
        body = encode_act_request(observation, encoding)
        answer = await self._call(ACT, body, encoding, deadline_ms=deadline_ms)
        return Decision(_action(answer, spec), answer.latency_ms)

    async def health(self) -> bytes:
        """The answer to `GET /health`. An episode asks for it only to learn which encoding is wanted.

        Raises:
            PolicyFailed: there is none within `HEALTH_S`. A policy need not have one.
        """
        try:
            async with asyncio.timeout(HEALTH_S):
                return (await self._exchange("GET", HEALTH)).body
        except TimeoutError as error:
            raise late(HEALTH, 1000 * HEALTH_S) from error
        except (aiohttp.ClientError, OSError, UnicodeError, AddressRefused) as error:
            raise self._failure(HEALTH, error) from error

    @property
    def latency_ms(self) -> float:
        """The policy's own time for the latest `/reset` or `/act`."""
        return self._latency_ms()

    @property
    def encoding(self) -> Encoding | None:
        """What the policy asked for in its answer to `/reset`, or later to `/health`; None if it said nothing yet."""
        return self._encoding

    async def _wanted_encoding(self) -> Encoding:
        if self._speak is not None:
            return self._speak
        if self._encoding is None:
            self._encoding = Encoding.JSON if self._endpoint in _silent else await self._ask_health()
        return self._encoding

    async def _ask_health(self) -> Encoding:
        """Whatever goes wrong here, the policy is asked in JSON: it need not have a `/health`."""
        wanted = None
        with contextlib.suppress(PolicyFailed):
            wanted = advertised(await self.health())
        if wanted is None:
            _silent.add(self._endpoint)
        return wanted or Encoding.JSON

    async def _call(self, call: str, body: bytes, encoding: Encoding, *, deadline_ms: float) -> _Answer:
        post = self._post_with_retries if call == RESET else self._post
        connect_ms = max(deadline_ms, CONNECT_MS)
        deadline = Deadline(connect_ms / 1000)
        clock = self._clock = PolicyClock(on_sent=lambda: deadline.restart(deadline_ms / 1000))
        try:
            async with deadline:
                answer = await post(call, body, encoding)
        except DeadlinePassed as error:
            raise (late(call, deadline_ms) if clock.sent else self._unconnected(connect_ms)) from error
        if clock.latency_s > deadline_ms / 1000 + GRACE_S:
            raise late(call, deadline_ms)
        return answer

    async def _post_with_retries(self, call: str, body: bytes, encoding: Encoding) -> _Answer:
        for attempt in range(CONNECT_ATTEMPTS_MAX - 1):
            try:
                return await self._post(call, body, encoding)
            except PolicyFailed as failed:
                if not _worth_retrying(failed):
                    raise
                self._connect_failed = failed
            await asyncio.sleep(CONNECT_BACKOFF_S * 3**attempt * random.uniform(0.5, 1.5))
        return await self._post(call, body, encoding)

    async def _post(self, call: str, body: bytes, encoding: Encoding) -> _Answer:
        """A 2xx answer; every other end is a `PolicyFailed` caused by the client's error.

        Raises:
            SimulationFailed: this machine has no socket or memory left, which is no policy's fault.
        """
        connections = self._connections
        try:
            try:
                return await self._exchange("POST", call, body, encoding)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                reused = connections and self._connections == connections
                if not reused or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                # The server gave up an idle connection just as we used it: that is not the policy failing.
                return await self._exchange("POST", call, body, encoding)
        except (aiohttp.ClientError, OSError, UnicodeError, AddressRefused) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                raise SimulationFailed(f"POST /{call}: {os_error(error)} on this machine") from error
            raise self._failure(call, error) from error

    async def _exchange(
        self, method: str, call: str, body: bytes | None = None, encoding: Encoding = Encoding.JSON
    ) -> _Answer:
        if call not in self._urls:
            self._urls[call] = _url(self._endpoint, call)
        headers = {"Content-Type": encoding.content_type} if body is not None else None
        request = self._session.request(method, self._urls[call], data=body, headers=headers, allow_redirects=False)
        async with request as response:
            response.content.on_eof(self._arrived)
            await check_head(call, response)
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > self._body_bytes_max:
                    response.close()
                    detail = f"POST /{call}: the answer has more than {self._body_bytes_max} bytes"
                    raise PolicyFailed(PolicyFailure.BODY_TOO_LARGE, detail)
                chunks.append(chunk)
            return _Answer(b"".join(chunks), Encoding.of_content_type(response.content_type), self._latency_ms())

    def _new_socket(self, address_info: AddrInfoType) -> socket.socket:
        self._socket = self._create_socket(address_info)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return self._socket

    def _arrived(self) -> None:
        if self._clock is not None:
            self._clock.arrived(self._socket)

    def _latency_ms(self) -> float:
        return 0.0 if self._clock is None else self._clock.latency_s * 1000

    async def _sending(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _event: aiohttp.TraceRequestChunkSentParams,
    ) -> None:
        if self._clock is not None:
            self._clock.sending()

    async def _connected(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _event: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._connections += 1
        if self._on_connected is not None:
            self._on_connected()

    def _unconnected(self, connect_ms: float) -> PolicyFailed:
        """Why there is no connection after this time: the last attempt's reason, or how far the first one came."""
        if self._connect_failed is not None:
            return self._connect_failed
        within = f"within {connect_ms:g} ms"
        if self._socket is None:
            detail, doubt = f"the host name was not resolved {within}", Doubt.NAME_UNANSWERED
        elif _has_peer(self._socket):
            detail, doubt = f"TLS: no session {within}, but a connection", Doubt.NONE
        else:
            detail, doubt = f"no connection {within}", Doubt.NEVER_REACHED
        return PolicyFailed(PolicyFailure.UNREACHABLE, detail, self._heard_before(doubt))

    def _failure(self, call: str, error: Exception) -> PolicyFailed:
        code, detail = explained(call, error)
        return PolicyFailed(code, detail, self._heard_before(doubt_about(error)))

    def _heard_before(self, doubt: Doubt) -> Doubt:
        return Doubt.FELL_SILENT if self._connections and doubt is not Doubt.NONE else doubt


def _has_peer(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def _url(endpoint: str, call: str) -> URL:
    try:
        base = URL(endpoint)
    except ValueError:
        base = URL()
    if base.scheme in ("http", "https") and base.host:
        return base.with_query(None).with_fragment(None) / call
    raise PolicyFailed(PolicyFailure.UNREACHABLE, NOT_A_URL)


def _action(answer: _Answer, spec: ActionSpec) -> Action:
    codes = {NonFinite: PolicyFailure.NON_FINITE, WrongShape: PolicyFailure.WRONG_SHAPE}
    try:
        return decode_action(answer.body, spec, answer.encoding)
    except WireError as error:
        code = codes.get(type(error), PolicyFailure.MALFORMED)
        raise PolicyFailed(code, f"POST /act: {error}") from error


def _worth_retrying(failed: PolicyFailed) -> bool:
    """Whether there was no connection, for a reason that may pass."""
    cause = failed.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause, aiohttp.ClientSSLError)
