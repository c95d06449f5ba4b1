"""What the backend signs: the statements that `signed.py` describes, made from the facts they speak of. Pure.

StatementError
├── BadSignature        nobody with this key has signed this text
├── StatementDiffers    signed, but it says something else than the facts
└── BrokenIdentity      the announced keys do not follow from each other, or somebody else's key signed
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from events.canonical import Json, canonical
from events.cycles import CycleAbandoned, CycleSealed
from events.for_people import ForPeople
from events.ids import Hotkey
from events.keys import SigningKey, is_signed
from events.merkle import MerkleTree
from events.metagraph import ChainTerms
from events.signed import KeyAnnounced, RootSigned, Signature, WeightsSigned
from events.weights import WeightsComputed

Document = dict[str, Json]
"""A statement before it is text."""

KEY, ROOT, WEIGHTS = "kinitro/key/1", "kinitro/root/1", "kinitro/weights/1"
ROOT_ON_CHAIN, WEIGHTS_ON_CHAIN = "kinitro/root/2", "kinitro/weights/2"
"""Of cycles about a chain: they name it, so that what is signed for one subnet is worth nothing on another."""


class StatementError(ForPeople):
    """A signed statement cannot be relied on. The message names it, and what was expected."""


class BadSignature(StatementError):
    """The text, the key or the signature was altered: get it anew, from elsewhere if it happens again."""


class StatementDiffers(StatementError):
    """Two programs, or two logs, say different things of one cycle: find out which is right before you rely on it."""


class BrokenIdentity(StatementError):
    """Whoever announced or signed this did not have the backend's key: ask the operator, by other means."""


class History:
    """The tree whose leaves are the exact bytes of the events that ended cycle 1, 2, ...: O(log n) memory."""

    def __init__(self) -> None:
        self._tree = MerkleTree()

    @property
    def size(self) -> int:
        """Of the newest cycle in it, the number."""
        return self._tree.size

    @property
    def root(self) -> str:
        return self._tree.root().hex()

    def add(self, cycle: int, end: bytes) -> None:
        """Appends the event that ended a cycle.

        Raises:
            StatementDiffers: it is not the next cycle.
        """
        if cycle != self.size + 1:
            raise StatementDiffers(
                f"cycle {cycle} has ended, and cycle {self.size + 1} not yet: cycles end in order, so the log was"
                " altered or lacks events; restore it"
            )
        self._tree.add(end)


def root_document(end: CycleSealed | CycleAbandoned, history_root: str, chain: ChainTerms | None) -> Document:
    """What `RootSigned` says.

    `history_root`: of the tree that ends with this cycle, in hex; `chain`: as the cycle's plan has it.
    """
    sealed = end if isinstance(end, CycleSealed) else None
    return {
        **_kind_of(ROOT, ROOT_ON_CHAIN, chain),
        "cycle": end.cycle,
        "end": "sealed" if sealed else "abandoned",
        "first_sequence": sealed.first_sequence if sealed else None,
        "last_sequence": sealed.last_sequence if sealed else None,
        "tree_size": sealed.tree_size if sealed else None,
        "merkle_root": sealed.merkle_root if sealed else None,
        "history_size": end.cycle,
        "history_root": history_root,
    }


def root_statement(end: CycleSealed | CycleAbandoned, history: History, chain: ChainTerms | None) -> str:
    """The text of `RootSigned`; `history` ends with this cycle, `chain` is that of its plan."""
    if end.cycle != history.size:
        raise ValueError(f"the history ends with cycle {history.size}, expected {end.cycle}")
    return _text(root_document(end, history.root, chain))


def weights_document(weights: WeightsComputed, chain: ChainTerms | None) -> Document:
    """What `WeightsSigned` says. `chain`: as the cycle's plan has it."""
    u16 = dict(zip(weights.weights_u16.uids, weights.weights_u16.values, strict=True))
    return {
        **_kind_of(WEIGHTS, WEIGHTS_ON_CHAIN, chain),
        "cycle": weights.cycle,
        "block": weights.block,
        "merkle_root": weights.merkle_root,
        "weights": [
            {"hotkey": each.hotkey, "uid": each.uid, "weight": each.weight, "u16": u16.get(each.uid, 0)}
            for each in weights.standings
        ],
    }


def weights_statement(weights: WeightsComputed, chain: ChainTerms | None) -> str:
    """The text of `WeightsSigned`."""
    return _text(weights_document(weights, chain))


def key_document(key: Hotkey, ordinal: int, previous: Hotkey | None) -> Document:
    """What `KeyAnnounced` says."""
    return {"kind": KEY, "key": key, "ordinal": ordinal, "previous": previous}


def key_statement(key: Hotkey, ordinal: int, previous: Hotkey | None) -> str:
    """The text of `KeyAnnounced`."""
    return _text(key_document(key, ordinal, previous))


def sign(statement: str, key: SigningKey) -> Signature:
    return key.sign(statement.encode())


def check(statement: str, signature: Signature) -> None:
    """The signature is over this very text, by the key that it names.

    Raises:
        BadSignature: it is not.
    """
    if not is_signed(statement.encode(), signature):
        raise BadSignature(f"{_kind(statement)}: the key {signature.key} has not signed {statement[:300]!r}")


def announce(key: SigningKey, earlier: Sequence[KeyAnnounced], previous: SigningKey | None) -> KeyAnnounced:
    """The event from which on `key` signs; `previous` is the one that signed so far, None at the beginning."""
    statement = key_statement(key.address, len(earlier) + 1, previous.address if previous else None)
    return KeyAnnounced(
        ordinal=len(earlier) + 1,
        statement=statement,
        signature=sign(statement, key),
        previous=sign(statement, previous) if previous else None,
    )


def check_identity(announcements: Sequence[KeyAnnounced]) -> tuple[Hotkey, ...]:
    """The keys in the order in which they came into force, each announced by the one before.

    Raises:
        BrokenIdentity: an announcement does not follow from the one before it.
        BadSignature: one is not signed.
    """
    keys: list[Hotkey] = []
    for place, announced in enumerate(announcements, start=1):
        before = keys[-1] if keys else None
        by = announced.previous.key if announced.previous else None
        if by != before:
            raise BrokenIdentity(f"key {place} is announced by {by}, expected {before}")
        expected = key_statement(announced.signature.key, place, before)
        if announced.ordinal != place or announced.statement != expected:
            raise BrokenIdentity(f"key {place} is announced as {announced.statement[:300]!r}, expected {expected!r}")
        check(announced.statement, announced.signature)
        if announced.previous:
            check(announced.statement, announced.previous)
        keys.append(announced.signature.key)
    return tuple(keys)


def check_signed(signed: RootSigned | WeightsSigned, expected: str, keys: Sequence[Hotkey]) -> None:
    """One of `keys` has signed exactly what follows from the facts.

    Raises:
        StatementDiffers, BrokenIdentity, BadSignature: see the classes.
    """
    if signed.statement != expected:
        raise StatementDiffers(
            f"{signed.type} of cycle {signed.cycle}: signed is {signed.statement[:1000]!r}, from the facts follows"
            f" {expected[:1000]!r}"
        )
    if signed.signature.key not in keys:
        raise BrokenIdentity(
            f"{signed.type} of cycle {signed.cycle}: signed by {signed.signature.key}, expected one of the announced"
            f" keys {', '.join(keys) or '(there is none)'}"
        )
    check(signed.statement, signed.signature)


def _kind_of(alone: str, on_chain: str, chain: ChainTerms | None) -> Document:
    if chain is None:
        return {"kind": alone}
    return {"kind": on_chain, "genesis": chain.genesis, "netuid": chain.netuid}


def _kind(statement: str) -> str:
    """What it says of itself, for messages; whoever wrote it may have written anything."""
    found = re.search(r'"kind":"([a-z0-9/]{1,40})"', statement)
    return found[1] if found else "a statement of no kind"


def _text(document: Document) -> str:
    return canonical(document).decode()
