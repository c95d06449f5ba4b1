"""What a policy's HTTP server did wrong, from what the client met: codes, and words of use to a miner.

Endpoints may be secret, and failures are published: no text from here names the endpoint or its address.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket

import aiohttp
from yarl import URL

from sim.http.addresses import AddressRefused
from sim.http.deadline import Deadline, DeadlinePassed
from sim.policy import Doubt, PolicyFailed, PolicyFailure

ERROR_BODY_BYTES = 200
ERROR_BODY_S = 0.1
ID_CHARS_MIN = 16
"""A part of a host's name or of a path that is so long is an id: shorter ones are words, which any text may have."""
UNHEARD = frozenset({errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN})
"""What the kernel says when nothing came back; our own network may be why."""
NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""What a resolver says that was reached."""
NOT_A_URL = "the committed endpoint is not a URL like https://host or http://host:port"


def late(call: str, deadline_ms: float) -> PolicyFailed:
    detail = f"POST /{call}: no complete answer within {deadline_ms:g} ms"
    return PolicyFailed(PolicyFailure.DEADLINE_MISSED, detail, Doubt.FELL_SILENT)


async def check_head(call: str, response: aiohttp.ClientResponse) -> None:
    """Refuse what cannot be an answer by its status or headers.

    Raises:
        PolicyFailed: a redirect, an error, or a compressed body.
    """
    status = f"POST /{call}: status {response.status}"
    if 300 <= response.status < 400:
        detail = f"{status}; redirects are not followed, commit the address that answers itself"
        raise PolicyFailed(PolicyFailure.REDIRECT_REFUSED, detail)
    if not 200 <= response.status < 300:
        begin = await _begin(response)
        detail = f"its body begins with {begin!r}" if begin else "no body came with it"
        raise PolicyFailed(PolicyFailure.HTTP_ERROR, f"{status}; {detail}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        detail = f"{status}, but compressed with {encoding!r}; answer without compression"
        raise PolicyFailed(PolicyFailure.MALFORMED, detail)


async def _begin(response: aiohttp.ClientResponse) -> str:
    """The first words of an error's body, if they come soon. Proxies like to name the endpoint in theirs."""
    body, url = b"", str(response.url)
    with contextlib.suppress(aiohttp.ClientError, OSError, DeadlinePassed):
        async with Deadline(ERROR_BODY_S):
            body = await response.content.read(ERROR_BODY_BYTES + len(url))
    # More is read than shown, or a name that is cut at the end would not be found.
    return concealed(body.decode("utf-8", "replace"), url)[:ERROR_BODY_BYTES]


def concealed(text: str, endpoint: str) -> str:
    """The text without this URL, its host's name, and the ids in them, by which proxies name an endpoint."""
    try:
        url = URL(endpoint)
    except ValueError:
        url = URL()
    host = url.host or ""
    ids = (part for part in (*host.split("."), *url.parts) if len(part) >= ID_CHARS_MIN)
    names = [re.escape(name) for name in (endpoint, host, *ids) if name]
    return re.sub("|".join(names), "...", text, flags=re.IGNORECASE) if names else text


def doubt_about(error: Exception) -> Doubt:
    """Whether our own network may have caused the client's error, for a policy that was never connected to."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Doubt.NONE if error.os_error.errno in NO_SUCH_NAME else Doubt.NAME_UNANSWERED
    unheard = isinstance(error, OSError) and error.errno in UNHEARD
    return Doubt.NEVER_REACHED if unheard else Doubt.NONE


def explained(call: str, error: Exception) -> tuple[PolicyFailure, str]:
    """The client's error as the policy's. Its own text is avoided where it names the endpoint."""
    match error:
        case AddressRefused():
            return PolicyFailure.ADDRESS_REFUSED, str(error)
        case aiohttp.ClientPayloadError():
            detail = f"POST /{call}: the connection was closed before the answer was complete"
            return PolicyFailure.MALFORMED, detail
        case aiohttp.ClientResponseError():
            reason = " ".join(error.message.split()).rstrip("^ ")
            detail = f"POST /{call}: not HTTP, or not as long as it says it is: {reason}"
            return PolicyFailure.MALFORMED, detail
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "cannot be verified"
            detail = f"TLS: the certificate is not accepted: {reason.partition(',')[0]}"
        case aiohttp.ClientConnectorSSLError():
            detail = f"TLS: no session: {error.os_error.reason or error.os_error.strerror}"
        case aiohttp.InvalidURL():
            detail = NOT_A_URL
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            answered = doubt_about(error) is Doubt.NONE
            detail = "the host name does not exist" if answered else "the host name cannot be resolved now"
        case aiohttp.ClientConnectorError():
            detail = f"no connection: {os_error(error.os_error)}"
        case OSError():
            detail = f"POST /{call}: the connection was lost before an answer: {os_error(error)}"
        case _:
            detail = f"POST /{call}: the connection was closed without an answer"
    return PolicyFailure.UNREACHABLE, detail


def os_error(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else type(error).__name__
