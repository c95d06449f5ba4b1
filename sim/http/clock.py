"""The policy's own time for one request: from when the kernel had our request until it had the whole answer.

Between either of these moments and the one at which this process notices, anything may happen that is no
policy's fault: other episodes' turns, a wait for the interpreter lock, a garbage collection, no CPU. On Linux
the kernel keeps both moments for every TCP connection (`tcpi_last_data_sent`, `tcpi_last_data_recv`), at the
resolution of its tick, 1 to 10 ms, so this process's own lateness is taken off, whatever caused it. What is
less than half a tick stays in, and on other systems all of it does.

The way the answer takes through the network is in it: who serves a policy decides where.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TCP_INFO_AGES = struct.Struct("=44xI4xI")
"""Of Linux's `struct tcp_info`: `tcpi_last_data_sent` and `tcpi_last_data_recv`, in ms before now."""

CLOCK_MONOTONIC_COARSE = 6
TICK_S = time.clock_getres(CLOCK_MONOTONIC_COARSE) if sys.platform == "linux" else 0.0
"""The kernel's ages are right to less than this, either way."""

GRACE_S = 2 * TICK_S
"""By how much a measured latency may be off at most: each of its two ends by the age's error and half a tick."""


class PolicyClock:
    """One request. `sending`, then `arrived`, then `latency_s`."""

    def __init__(self, on_sent: Callable[[], None]) -> None:
        """`on_sent` is called once, when the kernel has the request."""
        self._on_sent = on_sent
        self._sending = False
        self._sent_s: float | None = None
        self._kernel_sent_s = self._arrived_s = 0.0

    @property
    def sent(self) -> bool:
        return self._sent_s is not None

    def sending(self) -> None:
        """The request is being written in this turn of the loop. Only the first time counts.

        A policy that drops the connection and is asked again has known the request since the first time.
        """
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._sent)

    def _sent(self) -> None:
        """In the turn after, because uvloop hands what was written to the kernel at the end of one."""
        self._sent_s = time.perf_counter()
        self._on_sent()

    def arrived(self, connection: socket.socket | None) -> None:
        """The answer's last byte was read just now."""
        now_s = time.perf_counter()
        ages_s = kernel_ages_s(connection)
        if ages_s is None:
            self._arrived_s, self._kernel_sent_s = now_s, now_s
        else:
            sent_age_s, received_age_s = ages_s
            self._arrived_s = now_s - max(0.0, received_age_s - TICK_S / 2)
            self._kernel_sent_s = now_s - max(0.0, sent_age_s - TICK_S / 2)

    @property
    def latency_s(self) -> float:
        """Right to `GRACE_S`, either way, where the kernel tells.

        The kernel's time of sending counts only if it is before our own: one who reads a request slowly, or
        acknowledges it late, cannot begin later.
        """
        sent_s = self._kernel_sent_s if self._sent_s is None else min(self._sent_s, self._kernel_sent_s)
        return max(0.0, self._arrived_s - sent_s)


def kernel_ages_s(connection: socket.socket | None) -> tuple[float, float] | None:
    """Since data was last sent, and last received, in seconds."""
    if sys.platform != "linux" or connection is None:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_AGES.size)
    except OSError:
        return None
    if len(info) < TCP_INFO_AGES.size:
        return None
    sent_ms, received_ms = TCP_INFO_AGES.unpack(info)
    return sent_ms / 1000, received_ms / 1000
