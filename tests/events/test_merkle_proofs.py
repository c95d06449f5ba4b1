"""Proofs against the recursive definitions of RFC 6962, and against whoever alters them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.merkle import MerkleTree, hash_leaf
from events.merkle_proofs import MerkleProver, ProofRefused, verify_consistency, verify_inclusion

SIZES = st.integers(1, 70)


def leaves(size: int) -> list[bytes]:
    return [f"leaf {number}".encode() for number in range(size)]


def prover(size: int) -> MerkleProver:
    return MerkleProver(map(hash_leaf, leaves(size)))


def root(size: int) -> bytes:
    tree = MerkleTree()
    for leaf in leaves(size):
        tree.add(leaf)
    return tree.root()


def mth(d: list[bytes]) -> bytes:
    """Section 2.1."""
    if len(d) == 1:
        return hashlib.sha256(b"\x00" + d[0]).digest()
    k = split(len(d))
    return hashlib.sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    """Section 2.1.1."""
    if len(d) == 1:
        return []
    k = split(len(d))
    return [*path(m, d[:k]), mth(d[k:])] if m < k else [*path(m - k, d[k:]), mth(d[:k])]


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    """Section 2.1.2."""
    if m == len(d):
        return [] if b else [mth(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def altered(proof: Sequence[bytes], place: int) -> list[list[bytes]]:
    """Every way in which a proof is easily wrong: a hash more, fewer, other, or two in other order."""
    at = place % (len(proof) + 1)
    ways = [[*proof[:at], bytes(32), *proof[at:]]]
    if proof:
        at = place % len(proof)
        other = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        ways += [[*proof[:at], *proof[at + 1 :]], [*proof[:at], other, *proof[at + 1 :]]]
    if len(proof) > 1:
        ways.append([proof[1], proof[0], *proof[2:]])
    return ways


@given(SIZES, st.data())
def test_inclusion_proofs_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    assert prover(size).inclusion(index) == path(index, leaves(size))
    assert prover(size).root == root(size)


@given(SIZES, st.data())
def test_consistency_proofs_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    assert prover(size).consistency(old) == subproof(old, leaves(size), True)


@pytest.mark.parametrize("size", [*range(1, 34), 1000])
def test_every_leaf_is_shown_to_be_included(size: int) -> None:
    tree = prover(size)
    for index, leaf in enumerate(leaves(size)):
        verify_inclusion(root(size), size, index, leaf, tree.inclusion(index))


@pytest.mark.parametrize("size", range(1, 34))
def test_every_older_tree_is_shown_to_be_the_beginning(size: int) -> None:
    tree = prover(size)
    for old in range(1, size + 1):
        verify_consistency(root(old), old, root(size), size, tree.consistency(old))


@given(SIZES, st.data())
def test_an_altered_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, leaf = prover(size).inclusion(index), leaves(size)[index]
    for wrong in altered(proof, data.draw(st.integers(0, 20))):
        with pytest.raises(ProofRefused):
            verify_inclusion(root(size), size, index, leaf, wrong)
    for arguments in (
        (bytes(32), size, index, leaf),
        (root(size), size, index, leaf + b"!"),
        (root(size), size, index ^ 1, leaf),
        (root(size), size, -1, leaf),
        (root(size), size, size, leaf),
    ):
        with pytest.raises(ProofRefused):
            verify_inclusion(*arguments, proof)


@given(SIZES, st.data())
def test_an_altered_consistency_proof_is_refused(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    proof = prover(size).consistency(old)
    for wrong in altered(proof, data.draw(st.integers(0, 20))):
        with pytest.raises(ProofRefused):
            verify_consistency(root(old), old, root(size), size, wrong)
    for arguments in (
        (bytes(32), old, root(size), size),
        (root(old), old, bytes(32), size),
        (root(old), 0, root(size), size),
        (root(old), size + 1, root(size), size),
    ):
        with pytest.raises(ProofRefused):
            verify_consistency(*arguments, proof)


def test_a_history_that_was_rewritten_is_refused() -> None:
    rewritten = [b"another beginning", *leaves(9)[1:]]
    tree = MerkleProver(map(hash_leaf, rewritten))
    with pytest.raises(ProofRefused, match="the older root is"):
        verify_consistency(root(5), 5, tree.root, 9, tree.consistency(5))


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_for_a_leaf_that_is_not_there(index: int) -> None:
    with pytest.raises(IndexError, match=f"a tree of 3 leaves has no leaf {index}"):
        prover(3).inclusion(index)


@pytest.mark.parametrize("size", [0, 4])
def test_there_is_no_proof_for_a_size_that_never_was(size: int) -> None:
    with pytest.raises(IndexError, match=f"was never one of {size}"):
        prover(3).consistency(size)


def test_a_tree_without_leaves_has_no_proofs() -> None:
    with pytest.raises(ValueError, match="without leaves"):
        MerkleProver([])
