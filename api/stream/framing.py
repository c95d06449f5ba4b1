"""How a stream is spelled: as server-sent events, or as messages of a WebSocket.

A server-sent event's `id:` is its sequence. A heartbeat has an `id:` too, and no data: a client that keeps to the
standard remembers it as its `Last-Event-ID` and shows nothing to anybody, so that who waits for a rare event need not
look through everything again after a reconnect.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

import orjson
from websockets.frames import OP_TEXT, Frame

from api.stream.entries import Entry

ENDED = "kinitro.stream.ended"
RETRY_MS = (1_000, 3_000)
"""How long clients wait before they reconnect: each another time, for a restart cuts off all of them at once."""


class Framing(Protocol):
    """Frames of one kind of stream. `position` is the sequence to resume after."""

    def begin(self, position: int) -> bytes: ...

    def event(self, entry: Entry) -> bytes:
        """Raises `Unstreamable`."""
        ...

    def heartbeat(self, position: int) -> bytes: ...

    def ended(self, problem: dict[str, Any]) -> bytes:
        """The last frame: why it ends."""
        ...

    def packed(self, frames: bytes) -> bytes:
        """Whole frames as they go to the connection."""
        ...


class ServerSentEvents:
    """`text/event-stream` in HTTP/1.1 chunks."""

    def begin(self, position: int) -> bytes:
        return f"retry: {random.randint(*RETRY_MS)}\nid: {position}\n\n".encode()

    def event(self, entry: Entry) -> bytes:
        entry.check()
        return entry.frame

    def heartbeat(self, position: int) -> bytes:
        return b": heartbeat\nid: %d\n\n" % position

    def ended(self, problem: dict[str, Any]) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (ENDED.encode(), orjson.dumps(problem))

    def packed(self, frames: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(frames), frames)


class WebSocketMessages:
    """`{"id": 7, "event": {...}}`; without an event it is a heartbeat."""

    def begin(self, position: int) -> bytes:
        return self.heartbeat(position)

    def event(self, entry: Entry) -> bytes:
        entry.check()
        return _message(b'{"id":%d,"event":%b}' % (entry.sequence, entry.body))

    def heartbeat(self, position: int) -> bytes:
        return _message(b'{"id":%d}' % position)

    def ended(self, problem: dict[str, Any]) -> bytes:
        return _message(orjson.dumps({"problem": problem}))

    def packed(self, frames: bytes) -> bytes:
        return frames


def _message(text: bytes) -> bytes:
    return Frame(OP_TEXT, text).serialize(mask=False)
