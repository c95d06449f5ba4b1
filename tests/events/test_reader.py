"""What a flow makes of the statuses in which pull requests end, where no server can be made to send them in order."""

from __future__ import annotations

from typing import Any, cast

import pytest

from events import reader
from events.connection import Connection
from events.reader import Flow

WANTED = 10


class Asked:
    """In place of a connection: it notes what is sent."""

    client: Any = property(lambda self: self)

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def new_inbox(self) -> str:
        return "inbox"

    async def send(self, buffer: bytes) -> None:
        self.requests.append(buffer)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setattr(reader, "PULL_EVENTS", WANTED)
    return Asked()


def deliver(flow: Flow, first: int, last: int) -> None:
    for number in range(first, last + 1):
        reply = f"$JS.ACK.stream.consumer.1.{number}.{number}.1795278545772041683.99"
        flow._on_message(b"evt.x", reply.encode(), b"", b"{}")


async def under_way(asked: Asked) -> Flow:
    """Two pull requests, of which the first may deliver four events more."""
    flow = Flow(cast("Connection", asked), 0, ">")
    await flow._pull()
    deliver(flow, 1, 6)
    await flow._pull()
    assert len(asked.requests) == 2
    return flow


async def test_a_request_that_is_refused_is_the_newest(asked: Asked) -> None:
    flow = await under_way(asked)
    flow._on_message(b"inbox", b"", b"NATS/1.0 408 Requests Pending\r\n\r\n", b"")
    deliver(flow, 7, 10)
    await flow._pull()
    assert len(asked.requests) == 3, "nothing is under way, so more is asked for"


@pytest.mark.parametrize(
    "status", [b"404 No Messages", b"408 Request Timeout\r\nNats-Pending-Messages: 4\r\nNats-Pending-Bytes: 9"]
)
async def test_a_request_that_ends_is_the_oldest(asked: Asked, status: bytes) -> None:
    flow = await under_way(asked)
    flow._on_message(b"inbox", b"", b"NATS/1.0 " + status + b"\r\n\r\n", b"")
    deliver(flow, 7, 9)
    await flow._pull()
    assert len(asked.requests) == 2, "the second may still deliver seven"
    deliver(flow, 10, 12)
    await flow._pull()
    assert len(asked.requests) == 3


async def test_a_request_that_has_delivered_all_is_not_counted_out_twice(asked: Asked) -> None:
    flow = await under_way(asked)
    deliver(flow, 7, 10)
    flow._on_message(b"inbox", b"", b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 0\r\n\r\n", b"")
    await flow._pull()
    assert len(asked.requests) == 2, "the second may still deliver ten"
