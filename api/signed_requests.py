"""Requests that a hotkey has signed: the `btauth/1` protocol of Bittensor's SDK (`bittensor.http_auth`). Pure.

Signed, with sr25519, are these lines joined by line feeds: `btauth/1`, `sr25519`, the method, the target as it was
sent (path and query), the SHA-256 of the body in hex, the nonce (nanoseconds since 1970 in decimal), who signs, and
for whom: a key that this backend has announced, so that a request to one backend is worth nothing at another.

The SDK's own `verify` is not called: it would cost every API process 1.2 s and 47 MiB to import, it takes numbers in
many spellings, and its store of nonces cannot wait for an answer.

NotAuthentic    the request is not signed as it has to be; `reason` is one of a closed list
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from events.ids import TOKEN, Hotkey

PROTOCOL, VERSION, SCHEME = "btauth/1", "1", "sr25519"
PAST_S, AHEAD_S = 10.0, 2.0
"""How far the nonce may be from our clock."""

_PREFIX = "x-bittensor-"
_NONCE = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_SIGNATURE = re.compile(r"0x[0-9a-f]{128}", re.ASCII)


class Reason(StrEnum):
    """What is wrong with a signed request."""

    MALFORMED = "malformed"
    """A header is missing, is there twice, or has another form."""
    STALE = "stale"
    """Its nonce is too far from our clock."""
    BAD_SIGNATURE = "bad_signature"
    """The hotkey has not signed this method, target and body."""
    OTHER_RECEIVER = "other_receiver"
    """It was signed for somebody else."""
    REPLAYED = "replayed"
    """It was accepted before."""


class NotAuthentic(Exception):
    """Refuse the request. `str()` is for the caller."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers say."""

    hotkey: Hotkey
    receiver: str
    nonce_ns: int
    signature: bytes


def claimed(headers: Sequence[tuple[str, str]], now_ns: int) -> Claim:
    """The headers, read strictly: each has one spelling. Names are lower-case.

    Raises:
        NotAuthentic: one is missing or has another form, or the nonce is too old or too new.
    """
    if _one(headers, "version") != VERSION:
        raise _malformed("version", VERSION)
    if any(name == f"{_PREFIX}crypto" for name, _ in headers) and _one(headers, "crypto") != SCHEME:
        raise _malformed("crypto", f"{SCHEME}, or nothing")
    hotkey, receiver = _one(headers, "hotkey"), _one(headers, "receiver")
    for name, address in (("hotkey", hotkey), ("receiver", receiver)):
        if not TOKEN.fullmatch(address):
            raise _malformed(name, "an address in SS58")
    nonce, signature = _one(headers, "nonce"), _one(headers, "signature")
    if not _NONCE.fullmatch(nonce):
        raise _malformed("nonce", "nanoseconds since 1970, in decimal")
    if not _SIGNATURE.fullmatch(signature):
        raise _malformed("signature", "0x and 128 lower-case hex digits")
    ahead_s = (int(nonce) - now_ns) / 1e9
    if not -PAST_S <= ahead_s <= AHEAD_S:
        where = f"{-ahead_s:.1f} s behind" if ahead_s < 0 else f"{ahead_s:.1f} s ahead of"
        detail = f"the nonce is {where} our clock, expected at most {PAST_S:g} s behind or {AHEAD_S:g} s ahead"
        raise NotAuthentic(Reason.STALE, f"{detail}; sign again, and check your clock")
    return Claim(Hotkey(hotkey), receiver, int(nonce), bytes.fromhex(signature[2:]))


def check(claim: Claim, method: str, target: str, body: bytes) -> None:
    """The hotkey has signed this very request.

    Raises:
        NotAuthentic: it has not.
    """
    from bittensor_core import verify

    lines = (
        PROTOCOL,
        SCHEME,
        method.upper(),
        target,
        hashlib.sha256(body).hexdigest(),
        str(claim.nonce_ns),
        claim.hotkey,
        claim.receiver,
    )
    try:
        valid = bool(verify("\n".join(lines).encode(), claim.signature, claim.hotkey))
    except ValueError as error:
        raise _malformed("hotkey", "an address in SS58") from error
    if not valid:
        detail = f"{claim.hotkey} has not signed {method.upper()} {target} with this body"
        raise NotAuthentic(Reason.BAD_SIGNATURE, f"{detail}; sign method, target and body exactly as they are sent")


def _one(headers: Sequence[tuple[str, str]], name: str) -> str:
    found = [value for each, value in headers if each == f"{_PREFIX}{name}"]
    if len(found) != 1:
        raise NotAuthentic(
            Reason.MALFORMED,
            f"the header X-Bittensor-{name.title()} is there {len(found)} times, expected once; sign with"
            " bittensor.http_auth.sign and the key of GET /v1/identity as receiver",
        )
    return found[0]


def _malformed(name: str, expected: str) -> NotAuthentic:
    return NotAuthentic(Reason.MALFORMED, f"the header X-Bittensor-{name.title()} is not {expected}")
