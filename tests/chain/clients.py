"""The SDK's client, connected to nodes of ours and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import bittensor as bt

from tests.chain.node import Node

CLOSE_S = 0.5


@asynccontextmanager
async def client(node: Node, *fallbacks: Node, archive: Node | None = None) -> AsyncIterator[bt.Client]:
    substrate = bt.RpcSubstrate(
        node.url,
        fallback_endpoints=[each.url for each in fallbacks],
        archive_endpoints=[] if archive is None else [archive.url],
    )
    connected = bt.Client(node.url, substrate=substrate)
    try:
        yield await connected.connect()
    finally:
        # On Python 3.11 the SDK can close for ever where an answer comes while it does: its `wait_for` returns that
        # answer instead of being cancelled. The second cancellation, which the time-out brings, is heard.
        async with asyncio.timeout(CLOSE_S):
            await connected.close()
