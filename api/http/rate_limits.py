"""How much one client may ask for: a bucket of tokens per address, refilled steadily, told in every answer.

The headers are those of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy: "client";q=6000;w=60` and
`RateLimit: "client";r=5999;t=1`, where `t` is in how many seconds the bucket is full again.

A client is an IPv4 address or an IPv6 /64, the smallest that a network hands out. Behind a proxy it is the one that
the proxy names, where the proxy is trusted (`--trusted-proxies`). Loopback has no limit: who asks from there is on
our machine. Kept is one number per client, for as many clients as asked last; each process counts for itself.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

WINDOW_S: Final = 60
ADDRESS_MAX: Final = 64
CLIENTS_MAX: Final = 65_536
"""About 10 MiB. Who is forgotten has a full bucket again."""


class Ruling(NamedTuple):
    """On one request."""

    headers: tuple[tuple[bytes, bytes], ...]
    retry_after_s: int | None
    """None where it may be answered."""


FREE: Final = Ruling((), None)


class RateLimits:
    """`quota` requests per window at once, and as many per window for ever; 0 is no limit."""

    def __init__(
        self, quota: int, *, clients_max: int = CLIENTS_MAX, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quota = quota
        self._token_s = WINDOW_S / quota if quota else 0.0
        self._policy = (b"ratelimit-policy", f'"client";q={quota};w={WINDOW_S}'.encode())
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._clients_max, self._clock = clients_max, clock

    def rule(self, client: tuple[str, int] | None) -> Ruling:
        """Takes a token, where there is one."""
        if not self._quota or client is None or (key := key_of(client[0][:ADDRESS_MAX])) is None:
            return FREE
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + self._token_s
        if (missing_s := full_at - now) > WINDOW_S + self._token_s / 2:
            return Ruling(self._headers(0, missing_s - self._token_s), max(1, math.ceil(missing_s - WINDOW_S)))
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._clients_max:
            self._full_at.popitem(last=False)
        return Ruling(self._headers(int((WINDOW_S - missing_s) / self._token_s + 0.5), missing_s), None)

    def _headers(self, remaining: int, full_in_s: float) -> tuple[tuple[bytes, bytes], ...]:
        told = f'"client";r={remaining};t={math.ceil(full_in_s)}'
        return self._policy, (b"ratelimit", told.encode())


@functools.lru_cache(maxsize=CLIENTS_MAX)
def key_of(host: str) -> str | None:
    """Whom to count a request for; None for loopback, and where there is no address at all."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if (mapped := address.ipv4_mapped) is None:
            return None if address.is_loopback else str(ipaddress.ip_network((address, 64), strict=False))
        address = mapped
    return None if address.is_loopback else str(address)
