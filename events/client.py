"""nats-py with a short way from the socket to a function.

For each message nats-py parses the headers, builds an object, and passes it through a queue to a task. Who reads a
whole log needs none of that: without it, reading takes a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

Handler = Callable[[bytes, bytes, bytes, bytes], None]
"""Gets subject, reply subject, header block (empty if there is none) and body of a message. It must not raise."""


class DirectClient(Client):
    """A nats-py client that also knows subscriptions with a `Handler`."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: dict[int, Handler] = {}

    async def subscribe_directly(self, subject: str, handler: Handler) -> Subscription:
        subscription = await self.subscribe(subject)
        self._handlers[subscription._id] = handler
        return subscription

    async def unsubscribe_directly(self, subscription: Subscription) -> None:
        self._handlers.pop(subscription._id, None)
        await subscription.unsubscribe()

    async def _attempt_reconnect(self) -> None:
        """Without waiting, perhaps for ever, until the server that is left has taken what was written to it."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:
            self._transport._io_writer.transport.abort()
        await super()._attempt_reconnect()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        handler = self._handlers.get(sid)
        if handler is None:
            await super()._process_msg(sid, subject, reply, data, headers)  # type: ignore[arg-type]  # None is meant
        else:
            handler(subject, reply, headers or b"", data)
