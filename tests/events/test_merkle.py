from __future__ import annotations

import hashlib

import pytest

from events.merkle import MerkleTree


def reference(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, to the letter."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + reference(leaves[:k]) + reference(leaves[k:])).digest()


@pytest.mark.parametrize("size", range(131))
def test_the_root_is_that_of_the_definition(size: int) -> None:
    leaves = [f"leaf {number}".encode() * (number % 3) for number in range(size)]
    tree = MerkleTree()
    for leaf in leaves:
        tree.add(leaf)
    assert tree.root() == reference(leaves)
    assert tree.size == size


def test_the_root_can_be_asked_for_while_the_tree_grows() -> None:
    tree = MerkleTree()
    for number in range(20):
        assert tree.root() == reference([bytes([leaf]) for leaf in range(number)])
        tree.add(bytes([number]))


@pytest.mark.parametrize(
    ("size", "root"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_known_roots(size: int, root: str) -> None:
    """The test vectors that implementations of Certificate Transparency share."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = MerkleTree()
    for leaf in leaves[:size]:
        tree.add(bytes.fromhex(leaf))
    assert tree.root().hex() == root
