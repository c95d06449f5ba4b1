"""Why a stream ends before its reader leaves.

StreamEnd
├── Stopping      this process stops; another goes on
├── TooSlow       the reader did not take what was sent
├── LogChanged    the log was replaced or lost events
└── NotReadable   an event in the log that cannot be streamed
"""

from __future__ import annotations

from typing import ClassVar

from api.problems import Problem


class StreamEnd(Exception):
    """It can be resumed after the last `id` that arrived."""

    kind: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]
    close_code: ClassVar[int]
    """Of a WebSocket."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def problem(self) -> Problem:
        return Problem(self.status, self.kind, self.title, self.detail, headers={"Retry-After": "1"})


class Stopping(StreamEnd):
    """The process stops; another goes on."""

    kind, title, status, close_code = "server-stopping", "Server stopping", 503, 1012


class TooSlow(StreamEnd):
    """The reader did not take what was sent. Nothing more can be told to it."""

    kind, title, status, close_code = "reader-too-slow", "Reader too slow", 503, 1013


class LogChanged(StreamEnd):
    """The log was replaced or lost events: what was read from it may not be in it any more."""

    kind, title, status, close_code = "log-damaged", "Log damaged", 500, 1011


class NotReadable(StreamEnd):
    """An event in the log cannot be streamed."""

    kind, title, status, close_code = "event-unreadable", "Event unreadable", 500, 1011
