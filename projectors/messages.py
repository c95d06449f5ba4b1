"""What the process that leads a bulk build and those that fold for it tell each other.

In frames: eight bytes of length, then a pickle; after that of `Rows` its packed rows as they are, for they are nearly
all there is to send. Not in the module that those processes run: there these classes would have another name.
"""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass
from typing import Any, NamedTuple

from projectors.changes import Remainder, Row

LENGTH_BYTES = 8


class Orders(NamedTuple):
    """The log to read."""

    log_url: str
    log_identity: str


class Stretch(NamedTuple):
    """The events past the sequence `after`, up to `last`, and the names of the projections that want them."""

    number: int
    after: int
    last: int
    names: tuple[str, ...]


@dataclass(slots=True)
class Rows:
    """Rows to append for one projection, by name of the table: packed those of its heavy tables, plain the others."""

    projection: str
    plain: dict[str, list[Row]]
    packed: dict[str, bytes | bytearray]


Folded = dict[str, Remainder | None]
"""By projection; None where an event could not be folded, or a row not be packed."""


def send(outgoing: asyncio.StreamWriter, message: object) -> None:
    """Does not wait: `drain` does.

    Raises:
        BrokenPipeError: the other end is closed.
    """
    if outgoing.is_closing():
        raise BrokenPipeError("nobody listens any more")
    tail: list[bytes | bytearray] = []
    if isinstance(message, Rows):
        tail = [*message.packed.values()]
        message = _RowsHead(message.projection, message.plain, {name: len(it) for name, it in message.packed.items()})
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    outgoing.writelines([len(body).to_bytes(LENGTH_BYTES, "big"), body, *tail])


async def receive(incoming: asyncio.StreamReader) -> Any:
    """What was sent; only our own processes hold the other end.

    Raises:
        IncompleteReadError: the other end is closed.
    """
    length = int.from_bytes(await incoming.readexactly(LENGTH_BYTES), "big")
    message = pickle.loads(await incoming.readexactly(length))  # noqa: S301
    if isinstance(message, _RowsHead):
        packed: dict[str, bytes | bytearray] = {
            name: await incoming.readexactly(size) for name, size in message.sizes.items()
        }
        return Rows(message.projection, message.plain, packed)
    return message


class _RowsHead(NamedTuple):
    projection: str
    plain: dict[str, list[Row]]
    sizes: dict[str, int]
