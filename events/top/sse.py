"""Server-sent events, line by line."""

from __future__ import annotations

from typing import NamedTuple


class Message(NamedTuple):
    """One of them; the id is the last that was said."""

    event: str
    id: str
    data: bytes


class Messages:
    """Lines of `text/event-stream` -> messages. What has an id but no data, as a heartbeat, moves the id alone."""

    def __init__(self) -> None:
        self.id = ""
        self._event, self._data = "", bytearray()

    def take(self, line: bytes) -> Message | None:
        """The message that ends with this line, if one does."""
        line = line.rstrip(b"\r\n")
        if not line:
            return self._end()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
        elif name == b"event":
            self._event = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self.id = value.decode(errors="replace")
        return None

    def _end(self) -> Message | None:
        event, data = self._event or "message", bytes(self._data[:-1])
        self._event, had_data = "", bool(self._data)
        self._data.clear()
        return Message(event, self.id, data) if had_data else None
