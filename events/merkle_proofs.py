"""Proofs about Merkle trees as RFC 6962, section 2.1, and RFC 9162, section 2.1, have them.

An inclusion proof shows that a leaf stands at its place in a tree; a consistency proof shows that a tree begins with
all of an older one. Whoever checks needs the roots, the sizes and the proof: no log, and none of the other leaves.

ProofRefused    the proof does not show what it was to show
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from events.merkle import hash_leaf, hash_nodes


class ProofRefused(Exception):
    """The leaf, the proof, a size or a root was altered: get them anew, from elsewhere if it happens again."""


class MerkleProver:
    """A whole tree in memory, about two hashes of 32 bytes a leaf, so that each proof costs O(log n)."""

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        """Takes `hash_leaf` of each leaf, in order; at least one."""
        level = list(leaf_hashes)
        if not level:
            raise ValueError("a tree without leaves has no proofs")
        self._levels = [level]
        """From the leaves up to the root; the last node of a level of odd length stands in the next one as well."""
        while len(level) > 1:
            pairs = [hash_nodes(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
            level = pairs + level[len(level) - len(level) % 2 :]
            self._levels.append(level)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def inclusion(self, index: int) -> list[bytes]:
        """The audit path of leaf `index`, from 0, beside the leaf first.

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"a tree of {self.size} leaves has no leaf {index}")
        siblings = ((level, (index >> height) ^ 1) for height, level in enumerate(self._levels))
        return [level[place] for level, place in siblings if place < len(level)]

    def consistency(self, old_size: int) -> list[bytes]:
        """The proof that the first `old_size` leaves were once the whole tree; empty where they still are.

        Raises:
            IndexError: there were never so many leaves, or none.
        """
        if not 0 < old_size <= self.size:
            raise IndexError(f"a tree of {self.size} leaves was never one of {old_size}")
        return self._subproof(old_size, 0, self.size, whole=True)

    def _subproof(self, old_size: int, start: int, end: int, *, whole: bool) -> list[bytes]:
        """SUBPROOF of RFC 6962 over the leaves from `start` to before `end`; `whole`: the old root is known."""
        size = end - start
        if old_size == size:
            return [] if whole else [self._node(start, end)]
        split = 1 << (size - 1).bit_length() - 1
        middle = start + split
        if old_size <= split:
            return [*self._subproof(old_size, start, middle, whole=whole), self._node(middle, end)]
        return [*self._subproof(old_size - split, middle, end, whole=False), self._node(start, middle)]

    def _node(self, start: int, end: int) -> bytes:
        height = (end - start - 1).bit_length()
        return self._levels[height][start >> height]


def verify_inclusion(root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> None:
    """Leaf `index`, whose exact bytes are `leaf`, is in the tree of this root and size (RFC 9162, 2.1.3.2).

    Raises:
        ProofRefused: that does not follow.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"leaf {index} of a tree of {size} leaves: there is none")
    place, last, node = index, size - 1, hash_leaf(leaf)
    for sibling in path:
        if last == 0:
            raise ProofRefused(f"leaf {index} of {size}: the path has {len(path)} hashes, more than there are levels")
        if place & 1 or place == last:
            node = hash_nodes(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = hash_nodes(node, sibling)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise ProofRefused(f"leaf {index} of {size}: the path has {len(path)} hashes, fewer than there are levels")
    _check_root(f"leaf {index} of {size}", "root", root, node)


def verify_consistency(old_root: bytes, old_size: int, root: bytes, size: int, proof: Sequence[bytes]) -> None:
    """The tree of `root` begins with all leaves of the tree of `old_root` (RFC 9162, 2.1.4.2).

    Raises:
        ProofRefused: that does not follow.
    """
    named = f"a tree of {size} leaves after one of {old_size}"
    if not 0 < old_size <= size:
        raise ProofRefused(f"{named}: sizes from 1 up, the older no larger, are expected")
    if old_size == size:
        if proof:
            raise ProofRefused(f"{named}: no hashes are expected, the proof has {len(proof)}")
        return _check_root(named, "older root", old_root, root)
    hashes = iter(proof if old_size & (old_size - 1) else [old_root, *proof])
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    try:
        old, new = _climb(hashes, place, last)
    except StopIteration:
        raise ProofRefused(f"{named}: the proof has {len(proof)} hashes, fewer than expected") from None
    if next(hashes, None) is not None:
        raise ProofRefused(f"{named}: the proof has {len(proof)} hashes, more than expected")
    _check_root(named, "older root", old_root, old)
    return _check_root(named, "root", root, new)


def _climb(hashes: Iterator[bytes], place: int, last: int) -> tuple[bytes, bytes]:
    """Both roots, from the node in which the older tree ends. StopIteration: the hashes do not reach."""
    old = new = next(hashes)
    while last:
        sibling = next(hashes)
        if place & 1 or place == last:
            old, new = hash_nodes(sibling, old), hash_nodes(sibling, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = hash_nodes(new, sibling)
        place, last = place >> 1, last >> 1
    return old, new


def _check_root(named: str, which: str, expected: bytes, actual: bytes) -> None:
    if expected != actual:
        raise ProofRefused(f"{named}: the {which} is {expected.hex()}, the proof leads to {actual.hex()}")
