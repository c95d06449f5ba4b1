"""A miner's policy behind an HTTP endpoint, hostile until proven otherwise.

Bounded in time and bytes; one kept-alive connection per episode; no redirects, no compression, no cookies, no
proxy; nothing is sent to addresses that are not public unless the operator allows it. Endpoints may be
secret, and failures are published: no detail names the endpoint or its address.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import time
from typing import TYPE_CHECKING

import aiohttp
import orjson
from yarl import URL

from sim.addresses import AddressRefused, socket_factory
from sim.deadline import Deadline, DeadlinePassed
from sim.errors import SimulationFailed
from sim.policy import Decision, PolicyFailed, PolicyFailure
from sim.rl_interface import NonFinite, WireError, WrongShape, decode_action, encode_act_request

if TYPE_CHECKING:
    from types import SimpleNamespace, TracebackType

    from sim.policy import TaskConfig
    from sim.rl_interface import Action, Observation
    from sim.spec import ActionSpec

RESET = "reset"
ACT = "act"
BODY_BYTES_MAX = 1 << 20
ERROR_BODY_BYTES = 200
CONNECT_ATTEMPTS_MAX = 4
CONNECT_BACKOFF_S = 0.1
KEEPALIVE_S = 60.0
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
NOT_A_URL = "the committed endpoint is not a URL like https://host or http://host:port"
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}


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
    ) -> None:
        """`endpoint` is an http or https URL, to which `/reset` and `/act` are appended.

        One that is no such URL is the policy's failure, and reported by `reset`.
        """
        self._endpoint = endpoint
        self._body_bytes_max = body_bytes_max
        self._connections = 0
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(self._connected)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=1,
                use_dns_cache=False,
                resolver=aiohttp.ThreadedResolver(),
                happy_eyeballs_delay=None,
                keepalive_timeout=KEEPALIVE_S,
                socket_factory=socket_factory(allow_private=allow_private_addresses),
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
        body = orjson.dumps({"task_config": task.json()})
        try:
            async with Deadline(deadline_ms / 1000):
                await self._post_with_retries(RESET, body)
        except DeadlinePassed as error:
            raise self._late(RESET, deadline_ms) from error

    async def act(self, observation: Observation, spec: ActionSpec, *, deadline_ms: float) -> Decision:
        """`POST /act`. The clock runs from sending the request until the answer is complete.

        Raises:
            PolicyFailed, SimulationFailed
        """
        body = encode_act_request(observation)
        started_s = time.perf_counter()
        try:
            async with Deadline(deadline_ms / 1000):
                answer = await self._post(ACT, body)
        except DeadlinePassed as error:
            raise self._late(ACT, deadline_ms) from error
        latency_ms = (time.perf_counter() - started_s) * 1000
        return Decision(_action(answer, spec), latency_ms)

    def _late(self, call: str, deadline_ms: float) -> PolicyFailed:
        if not self._connections:
            return PolicyFailed(PolicyFailure.UNREACHABLE, f"no connection within {deadline_ms:g} ms")
        detail = f"POST /{call}: no complete answer within {deadline_ms:g} ms"
        return PolicyFailed(PolicyFailure.DEADLINE_MISSED, detail)

    async def _post_with_retries(self, call: str, body: bytes) -> None:
        for attempt in range(CONNECT_ATTEMPTS_MAX):
            try:
                await self._post(call, body)
            except PolicyFailed as failed:
                if not _worth_retrying(failed) or attempt == CONNECT_ATTEMPTS_MAX - 1:
                    raise
            else:
                return
            await asyncio.sleep(CONNECT_BACKOFF_S * 3**attempt * random.uniform(0.5, 1.5))

    async def _post(self, call: str, body: bytes) -> bytes:
        """The body of a 2xx answer; every other end is a `PolicyFailed` caused by the client's error.

        Raises:
            SimulationFailed: this machine has no socket or memory left, which is no policy's fault.
        """
        connections = self._connections
        try:
            try:
                return await self._exchange(call, body)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                reused = connections and self._connections == connections
                if not reused or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                # The server gave up an idle connection just as we used it: that is not the policy failing.
                return await self._exchange(call, body)
        except (aiohttp.ClientError, OSError, UnicodeError, AddressRefused) as error:
            if isinstance(error, OSError) and error.errno in EXHAUSTED:
                raise SimulationFailed(f"POST /{call}: {_os_error(error)} on this machine") from error
            raise _failure(call, error) from error

    async def _exchange(self, call: str, body: bytes) -> bytes:
        url = _url(self._endpoint, call)
        async with self._session.post(url, data=body, allow_redirects=False) as response:
            _check_head(call, response)
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > self._body_bytes_max:
                    response.close()
                    detail = f"POST /{call}: the answer has more than {self._body_bytes_max} bytes"
                    raise PolicyFailed(PolicyFailure.BODY_TOO_LARGE, detail)
                chunks.append(chunk)
            return b"".join(chunks)

    async def _connected(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _event: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._connections += 1


def _url(endpoint: str, call: str) -> URL:
    try:
        base = URL(endpoint)
    except ValueError:
        base = URL()
    if base.scheme in ("http", "https") and base.host:
        return base.with_query(None).with_fragment(None) / call
    raise PolicyFailed(PolicyFailure.UNREACHABLE, NOT_A_URL)


def _check_head(call: str, response: aiohttp.ClientResponse) -> None:
    status = f"POST /{call}: status {response.status}"
    if 300 <= response.status < 400:
        detail = f"{status}; redirects are not followed, commit the address that answers itself"
        raise PolicyFailed(PolicyFailure.REDIRECT_REFUSED, detail)
    if not 200 <= response.status < 300:
        begin = response.content.read_nowait(ERROR_BODY_BYTES).decode("utf-8", "replace")
        raise PolicyFailed(PolicyFailure.HTTP_ERROR, f"{status}; its body begins with {begin!r}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        detail = f"{status}, but compressed with {encoding!r}; answer without compression"
        raise PolicyFailed(PolicyFailure.MALFORMED, detail)


def _action(answer: bytes, spec: ActionSpec) -> Action:
    codes = {NonFinite: PolicyFailure.NON_FINITE, WrongShape: PolicyFailure.WRONG_SHAPE}
    try:
        return decode_action(answer, spec)
    except WireError as error:
        code = codes.get(type(error), PolicyFailure.MALFORMED)
        raise PolicyFailed(code, f"POST /act: {error}") from error


def _worth_retrying(failed: PolicyFailed) -> bool:
    """Whether there was no connection, for a reason that may pass."""
    cause = failed.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError) and not isinstance(cause, aiohttp.ClientSSLError)


def _failure(call: str, error: Exception) -> PolicyFailed:
    """The client's error as the policy's. Its own text is avoided where it names the endpoint."""
    match error:
        case AddressRefused():
            return PolicyFailed(PolicyFailure.ADDRESS_REFUSED, str(error))
        case aiohttp.ClientPayloadError():
            detail = f"POST /{call}: the connection was closed before the answer was complete"
            return PolicyFailed(PolicyFailure.MALFORMED, detail)
        case aiohttp.ClientResponseError():
            return PolicyFailed(PolicyFailure.MALFORMED, f"POST /{call}: not HTTP: {error.message}")
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "cannot be verified"
            detail = f"TLS: the certificate is not accepted: {reason.partition(',')[0]}"
        case aiohttp.ClientConnectorSSLError():
            detail = f"TLS: no session: {error.os_error.reason or error.os_error.strerror}"
        case aiohttp.InvalidURL():
            detail = NOT_A_URL
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            detail = "the host name cannot be resolved"
        case aiohttp.ClientConnectorError():
            detail = f"no connection: {_os_error(error.os_error)}"
        case OSError():
            detail = f"POST /{call}: the connection was lost before an answer: {_os_error(error)}"
        case _:
            detail = f"POST /{call}: the connection was closed without an answer"
    return PolicyFailed(PolicyFailure.UNREACHABLE, detail)


def _os_error(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
