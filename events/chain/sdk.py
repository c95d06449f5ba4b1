"""The one module that imports the chain's SDK: 1.2 s and 47 MiB. Import it where a chain is read, not before."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import bittensor as bt

# Raised by raw requests; it has no public name.
from bittensor._transport.errors import SubstrateRequestException

from events.chain.trouble import (
    ChainTrouble,
    NoConnection,
    NodeRefused,
    Reorganised,
    RuntimeUnsuited,
    StatePruned,
)

# It logs each of its tries. We tell of trouble ourselves, and not of every try.
logging.getLogger("bittensor.transport").setLevel(logging.CRITICAL)

CLOSE_S = 2.0

ERRORS = (bt.BittensorError, SubstrateRequestException, OSError, ValueError, KeyError, TypeError)
"""What reading raises. The last three: a storage item that is missing, an answer in a form that is not understood."""

_PRUNED = ("State discarded", "State already discarded")
_UNKNOWN_BLOCK = ("UnknownBlock", "Header was not found", "Block not found", "no block at height", "no header for")
_LACKING = ("Exported method", "Method not found")
_URL = re.compile(r"""([a-z][a-z0-9+.-]*://)(?:[^\s/@]*@)?([^\s/?#'"]*)[^\s'"]*""")
_BROKEN = ("RPC session closed", "Connection lost", "Connection dropped", "could not connect", "connection closed")


class Node(bt.RpcSubstrate):
    """One node, and no other in its place.

    Left to itself the SDK would change the node in the middle of a read, and only after minutes of silence. Archives
    are not asked either: a block that was finalized just now needs none.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, fallback_endpoints=[], archive_endpoints=[])
        self._opened: Any = None

    def _interface(self, endpoint: str, fallbacks: list[str]) -> Any:
        self._opened = super()._interface(endpoint, fallbacks)
        return self._opened

    async def leave(self) -> None:
        """Closes whatever was opened, in at most `CLOSE_S`.

        The SDK's own close forgets a connection that was cancelled while it was made; that would go on for ever. And
        on Python 3.11 it can wait for ever, where an answer comes while its reader is cancelled: it swallows the
        time-out's cancellation, which wakes it. What else goes wrong with what is left is no matter.
        """
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_S):
                await self.close()
                if self._opened is not None:
                    await self._opened.close()


def trouble(endpoint: str, error: Exception) -> ChainTrouble:
    """What an error of the SDK means. Where its class does not tell, its text does: there is nothing else.

    Of URLs in it only scheme and host stay: the rest of an endpoint is often a key.
    """
    text = _URL.sub(r"\1\2", str(error))[:300]
    node = f"chain node {endpoint}"
    if isinstance(error, (bt.RpcConnectionError, bt.ConnectionNotReady, OSError)) or _is_in(text, _BROKEN):
        return NoConnection(f"{node} cannot be reached: {text}; check the endpoint, or name another one too")
    if isinstance(error, (ValueError, KeyError, TypeError)) or _is_in(text, _LACKING):
        return RuntimeUnsuited(f"{node} has a runtime that is not understood: {text}; upgrade this software")
    if _is_in(text, _PRUNED):
        return StatePruned(f"{node} has no state of the block any more: {text}; name a node that keeps more")
    if _is_in(text, _UNKNOWN_BLOCK):
        return Reorganised(f"{node} does not know the block: {text}; it was reorganised away, or the node is behind")
    return NodeRefused(f"{node} answers with an error: {text}")


def _is_in(text: str, needles: Sequence[str]) -> bool:
    return any(needle in text for needle in needles)
