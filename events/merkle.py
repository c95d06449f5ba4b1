"""The Merkle tree hash of RFC 6962, section 2.1, over the exact bytes of events in log order."""

from __future__ import annotations

import hashlib


class MerkleTree:
    """Grows leaf by leaf and keeps one hash per complete subtree: O(log n) memory."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []
        """Complete subtrees, left to right, as (number of leaves, hash); the sizes fall strictly."""

    def add(self, leaf: bytes) -> None:
        """Appends one leaf."""
        self.size += 1
        width, node = 1, hash_leaf(leaf)
        while self._peaks and self._peaks[-1][0] == width:
            _, left = self._peaks.pop()
            width, node = width * 2, hash_nodes(left, node)
        self._peaks.append((width, node))

    def root(self) -> bytes:
        """The 32-byte hash over all leaves so far; for none, SHA-256 of nothing."""
        if not self._peaks:
            return hashlib.sha256().digest()
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = hash_nodes(left, node)
        return node


def hash_leaf(leaf: bytes) -> bytes:
    """The node of one leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def hash_nodes(left: bytes, right: bytes) -> bytes:
    """The node above two."""
    return hashlib.sha256(b"\x01" + left + right).digest()
