"""Who may ask for what is a hotkey's own: its owner, who signs the request with it (see `signed_requests.py`).

A route takes `Owner` instead of the hotkey of its path. What it gets was signed by that hotkey, for this backend, for
this very request, a few seconds ago; the hotkey is known as a miner; and no copy of the API has accepted it before.
When that last cannot be found out, the request is refused, with `Retry-After`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from starlette.requests import ClientDisconnect

from api.dependencies import All, Resources
from api.http.front import ASKED
from api.problems import Problem, log_unavailable, not_found
from api.signed_requests import Claim, NotAuthentic, Reason, check, claimed
from events import subjects
from events.codec import decode_as
from events.connection import NatsError
from events.ids import TOKEN, Hotkey
from events.log import EventLog, LogUnavailable
from events.signed import KeyAnnounced
from projectors.miners import file

BODY_BYTES_MAX: Final = 65_536
SEQUENCE_MAX: Final = 2**63 - 1


async def owner(
    hotkey: Annotated[Hotkey, Path(pattern=rf"^{TOKEN.pattern}$")], request: Request, resources: All
) -> Hotkey:
    """The hotkey of the path, which has signed this request.

    Raises:
        Problem: 401 it is not authentic, 403 somebody else has signed it, 404 no such miner, or 503.
    """
    now_ns = round(resources.clock().timestamp() * 1e9)
    try:
        claim = claimed(request.headers.items(), now_ns)
        body = await _body(request)
        check(claim, request.scope.get(ASKED, request.method), _target(request), body)
        if claim.hotkey != hotkey:
            detail = f"{claim.hotkey} has signed this, and only {hotkey} may ask for it"
            raise Problem(403, "not-the-owner", "Not the owner", detail)
        await _check_receiver(claim, resources)
        await _check_known(hotkey, resources)
        await _check_first(claim, resources)
    except NotAuthentic as error:
        raise _unauthorized(error) from error
    return hotkey


Owner = Annotated[Hotkey, Depends(owner)]


def _target(request: Request) -> str:
    """As it was sent: nothing decoded, and the query with it."""
    raw: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (raw + b"?" + query if query else raw).decode("latin-1")


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                detail = f"the body has more than {BODY_BYTES_MAX} bytes"
                raise Problem(413, "body-too-large", "Body too large", detail, headers={"Connection": "close"})
    except ClientDisconnect as error:
        raise NotAuthentic(Reason.MALFORMED, "the body ended early") from error
    return bytes(body)


async def _check_receiver(claim: Claim, resources: Resources) -> None:
    keys = await resources.log.ask(_announced)
    if not keys:
        raise not_found("no-key", "the backend has announced no key yet, for which a request could be signed")
    if claim.receiver not in keys:
        detail = f"it was signed for {claim.receiver}, expected {keys[-1]}, the key of GET /v1/identity"
        raise NotAuthentic(Reason.OTHER_RECEIVER, detail)


async def _announced(events: EventLog) -> list[Hotkey]:
    return [
        decode_as(KeyAnnounced, stored).event.signature.key
        async for batch in events.read(subject=subjects.IDENTITY)
        for stored in batch
    ]


async def _check_known(hotkey: Hotkey, resources: Resources) -> None:
    """Whoever is no miner is not remembered: anybody can make keys, without end."""
    if not await resources.models.ask(lambda it: file.is_known(it, hotkey, up_to=SEQUENCE_MAX)):
        raise not_found("unknown-miner", f"no event names a miner {hotkey}")


async def _check_first(claim: Claim, resources: Resources) -> None:
    timeout_s = resources.settings.log_timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            is_first = await resources.replays.take(claim.hotkey, claim.nonce_ns)
    except (LogUnavailable, NatsError, TimeoutError) as error:
        raise log_unavailable(timeout_s) from error
    if not is_first:
        raise NotAuthentic(Reason.REPLAYED, "this request was accepted before; sign every request anew")


def _unauthorized(error: NotAuthentic) -> Problem:
    headers = {"WWW-Authenticate": "Bittensor"}
    return Problem(401, "not-authentic", "Not authentic", str(error), headers=headers, reason=error.reason.value)
