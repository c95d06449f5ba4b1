"""Frames on the pipes between us and a sandboxed policy, in both directions:

    "KIN1" | kind u8 | number u32 | length u32 | body        little endian

An answer carries its question's number, so that one written before the question was asked is no answer.
`runner` has the other end, on its own because it is all that is there of our code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

MAGIC = b"KIN1"
HEADER = struct.Struct("<4sBII")


class Kind(IntEnum):
    """What comes back."""

    ANSWER = 1
    RAISED = 2
    OUT_OF_MEMORY = 3


class NotAFrame(Exception):
    """These bytes are not the frame that was waited for."""


class FrameTooLarge(Exception):
    """The frame's body would be longer than allowed; it was not read."""

    def __init__(self, announced_bytes: int) -> None:
        super().__init__(f"a frame of {announced_bytes} bytes")
        self.announced_bytes = announced_bytes


class FramesIn(Protocol):
    """Of `asyncio.StreamReader`, what is needed here."""

    async def readexactly(self, size: int, /) -> bytes:
        """Waits for `size` bytes.

        Raises:
            asyncio.IncompleteReadError: the stream ended.
        """
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    kind: Kind
    body: bytes


def framed(kind: int, number: int, body: bytes) -> bytes:
    return HEADER.pack(MAGIC, kind, number, len(body)) + body


async def read_frame(stream: FramesIn, number: int, body_bytes_max: int) -> Frame:
    """The next frame, which must be the answer to question `number`.

    Raises:
        NotAFrame, FrameTooLarge: it is not.
        asyncio.IncompleteReadError: the stream ended.
    """
    header = await stream.readexactly(HEADER.size)
    magic, kind, answered, length = HEADER.unpack(header)
    if magic != MAGIC or kind not in set(Kind):
        raise NotAFrame(f"expected a frame, got {header!r}: something else was written to the pipe of the answers")
    if answered != number:
        raise NotAFrame(f"expected the answer to question {number}, got one to question {answered}")
    if length > body_bytes_max:
        raise FrameTooLarge(length)
    return Frame(Kind(kind), await stream.readexactly(length))
