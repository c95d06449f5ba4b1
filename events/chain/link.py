"""A connection to the chain that is mended when it breaks: one node at a time, and no wait without an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from events.chain.reads import hash_of
from events.chain.trouble import ChainTrouble, NoConnection, OtherChain

if TYPE_CHECKING:
    from events.chain.sdk import Node

T = TypeVar("T")

CONNECT_S = 20.0
"""For connecting, and for what the SDK asks first: the runtime's version and metadata, about 800 kB of text."""
ANSWER_S = 30.0
"""For all requests of one call together."""


class ChainLink:
    """Any number of tasks may use one at once.

    A call is served by one node from beginning to end. The one that failed is left, and the next call begins with the
    next of `endpoints`, in turn.
    """

    def __init__(self, endpoints: Sequence[str], *, connect_s: float = CONNECT_S, answer_s: float = ANSWER_S) -> None:
        if not endpoints:
            raise ValueError("no chain endpoint was given; name one or several, as wss://host:port")
        for endpoint in endpoints:
            if urlsplit(endpoint).scheme not in ("ws", "wss") or not urlsplit(endpoint).hostname:
                raise ValueError(f"chain endpoint {shown(endpoint)} is no ws:// or wss:// URL with a host")
        self._endpoints = tuple(endpoints)
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._turn = 0
        self._node: Node | None = None
        self._connecting = asyncio.Lock()
        self._genesis: str | None = None

    async def call(self, action: Callable[[Node], Awaitable[T]]) -> T:
        """What `action` makes of a node.

        Raises:
            ChainTrouble: in one of its kinds. The next call tries the next endpoint.
        """
        node = await self._connected()
        try:
            return await _within(self._answer_s, "answer", node, action)
        except ChainTrouble:
            if self._node is node:  # else another task has left it already
                self._turn += 1
                await self.close()
            raise

    async def close(self) -> None:
        """A call after it connects anew."""
        node, self._node = self._node, None
        if node is not None:
            await node.leave()

    async def _connected(self) -> Node:
        async with self._connecting:
            if self._node is None:
                self._node = await self._connect(self._endpoints[self._turn % len(self._endpoints)])
            return self._node

    async def _connect(self, endpoint: str) -> Node:
        # Who reads no chain should not pay for the SDK: see there.
        from events.chain.sdk import Node

        node = Node(endpoint)
        try:
            await _within(self._connect_s, "connect", node, self._enter)
        except ChainTrouble:
            self._turn += 1
            await node.leave()
            raise
        except asyncio.CancelledError:
            await node.leave()
            raise
        return node

    async def _enter(self, node: Node) -> None:
        await node.connect()
        genesis = await hash_of(node, 0)
        if self._genesis not in (None, genesis):
            raise OtherChain(
                f"chain node {shown(node.endpoint)} serves the chain {genesis}, expected {self._genesis} as the node"
                " before it; name endpoints of one chain only"
            )
        self._genesis = genesis


async def _within(limit_s: float, what: str, node: Node, action: Callable[[Node], Awaitable[T]]) -> T:
    from events.chain.sdk import ERRORS, trouble

    endpoint = shown(node.endpoint)
    try:
        async with asyncio.timeout(limit_s):
            return await action(node)
    except TimeoutError as error:
        raise NoConnection(
            f"chain node {endpoint} did not {what} within {limit_s:g} s; check it, or name another one too"
        ) from error
    except ERRORS as error:
        raise trouble(endpoint, error) from error


def shown(endpoint: str) -> str:
    """Scheme, host and port: path and credentials of an endpoint are often a key."""
    try:
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "(not a URL)"
