"""Was history only ever appended to? The ends of all cycles, one after the other, and what was signed of them. Pure.

Each signed root names the RFC 6962 root over the ends of all cycles so far. Who has the ends computes it again; who
has not asks for the proof that each tree begins with the one before. And who kept a root from earlier sees whether
what he kept is still the beginning.

HistoryDiffers    the first thing that does not fit; it carries the difference
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from consumers.audit.cycle.verdicts import Difference
from events.cycles import CycleAbandoned, CyclePlanned, CycleSealed
from events.ids import Hotkey
from events.keys import is_signed
from events.merkle_proofs import ProofRefused, verify_consistency
from events.metagraph import ChainTerms
from events.signed import KeyAnnounced, RootSigned
from events.statements import ROOT, ROOT_ON_CHAIN, Document, History, StatementError, check_identity, root_document


class HistoryDiffers(Exception):
    """Two things that should be the same are not."""

    def __init__(self, where: str, expected: str, found: str) -> None:
        self.difference = Difference(where, expected, found)
        super().__init__(str(self.difference))


@dataclass(frozen=True, slots=True)
class Kept:
    """What an auditor knows from elsewhere: the history root that ended with this cycle, in hex."""

    cycle: int
    root: str
    whence: str = "which was kept"

    def check(self, root: str) -> None:
        """Compare with the root of the same cycle.

        Raises:
            HistoryDiffers: they are not the same.
        """
        if root != self.root:
            raise HistoryDiffers(f"cycle {self.cycle}", f"the history root {self.root}, {self.whence}", root)


@dataclass(frozen=True, slots=True)
class HistoryAudit:
    """What came of it."""

    first: int
    """The cycle with which it began: 1, or that of a kept root."""
    last: int
    """The newest that is signed; less than `first` where none is."""
    unsigned: int
    """Cycles after it that have ended and are not signed yet."""
    root: str | None
    """The history root of `last`, to be kept."""
    key: Hotkey | None
    """The one in force."""
    difference: Difference | None
    notes: tuple[str, ...] = ()
    """What came of comparing it with the chain."""

    @property
    def agrees(self) -> bool:
        return self.difference is None

    @property
    def verdict(self) -> str:
        return "only ever appended to" if self.difference is None else str(self.difference)


def check_keys(announced: Sequence[KeyAnnounced], pinned: Hotkey | None) -> tuple[Hotkey, ...]:
    """The keys that may have signed, oldest first.

    Raises:
        HistoryDiffers: they do not follow from each other, or the pinned one is not among them.
    """
    try:
        keys = check_identity(announced)
    except StatementError as error:
        raise HistoryDiffers("the keys", "each announced by the one before", str(error)) from error
    if pinned is not None and pinned not in keys:
        raise HistoryDiffers("the keys", f"the key {pinned}", ", ".join(keys) or "none")
    return keys


def check_signature(signed: RootSigned, cycle: int, keys: Sequence[Hotkey]) -> Document:
    """What the statement says, which one of the keys has signed.

    Raises:
        HistoryDiffers: nobody has, or it is of something else.
    """
    where, by = f"cycle {cycle}", signed.signature.key
    if by not in keys:
        raise HistoryDiffers(where, f"a signature of {' or '.join(keys) or 'an announced key'}", f"one of {by}")
    if not is_signed(signed.statement.encode(), signed.signature):
        raise HistoryDiffers(where, f"a signature of {by} over the statement", "one that is not")
    try:
        said: Document = orjson.loads(signed.statement)
        found = said["kind"], said["cycle"], said["history_size"]
        bytes.fromhex(str(said["history_root"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise HistoryDiffers(where, "a statement about a history", signed.statement[:200]) from error
    if found not in ((ROOT, cycle, cycle), (ROOT_ON_CHAIN, cycle, cycle)):
        raise HistoryDiffers(where, f"a statement about the history of {cycle} cycles", signed.statement[:200])
    return said


class FromEnds:
    """All ends and statements of a log, in its order: each history root is computed again."""

    def __init__(self, keys: Sequence[Hotkey], kept: Kept | None, anchored: Sequence[Kept] = ()) -> None:
        self._keys = keys
        self._kept = (kept, *anchored) if kept else tuple(anchored)
        self._history = History()
        self._unsigned: dict[int, Document] = {}
        """What has to be signed of the cycles that have ended."""
        self._last, self._root = 0, ""
        self._chains: dict[int, ChainTerms | None] = {}
        """Of the cycles that are planned and have not ended."""

    def planned(self, plan: CyclePlanned) -> None:
        """A cycle was planned; its end comes later."""
        self._chains[plan.cycle] = plan.chain

    def end(self, end: CycleSealed | CycleAbandoned, body: bytes) -> None:
        """The next cycle has ended.

        Raises:
            HistoryDiffers: it is not the next one, or not as it was kept.
        """
        size = self._history.size + 1
        if end.cycle != size:
            raise HistoryDiffers(f"cycle {size}", f"the end of cycle {size}", f"that of cycle {end.cycle}")
        self._history.add(size, body)
        root = self._history.root
        for each in self._kept:
            if each.cycle == size:
                each.check(root)
        self._unsigned[size] = root_document(end, root, self._chains.pop(size, None))

    def signed(self, signed: RootSigned) -> None:
        """What was signed of a cycle that has ended.

        Raises:
            HistoryDiffers: it is not what follows from the ends.
        """
        cycle = signed.cycle
        said = check_signature(signed, cycle, self._keys)
        if (expected := self._unsigned.pop(cycle, None)) is None:
            raise HistoryDiffers(f"cycle {cycle}", "a statement about a cycle that has ended", signed.statement[:200])
        for name, value in expected.items():
            if said.get(name) != value:
                raise HistoryDiffers(f"cycle {cycle}, {name}", f"{value}, as the log has it", f"{said.get(name)}")
        if cycle > self._last:
            self._last, self._root = cycle, str(said["history_root"])

    def concluded(self) -> HistoryAudit:
        """All of the log was told.

        Raises:
            HistoryDiffers: something that has to be there is not.
        """
        missing = next((cycle for cycle in self._unsigned if cycle < self._last), None)
        if missing is not None:
            raise HistoryDiffers(f"cycle {missing}", "its end, signed as those after it are", "no signature")
        check_there(self._kept, self._history.size)
        return concluded(1, self._last, len(self._unsigned), self._root, self._keys)


class FromProofs:
    """Statement after statement, each with the proof that its tree begins with the one before."""

    def __init__(self, keys: Sequence[Hotkey], kept: Kept | None, anchored: Sequence[Kept] = ()) -> None:
        self._keys = keys
        self.first = kept.cycle if kept else 1
        self.last = self.first - 1
        self._kept = (kept, *anchored) if kept else tuple(anchored)
        self._root = ""

    @property
    def since(self) -> int:
        """From which cycle the next proof has to lead: the last one, or for the first the cycle itself."""
        return max(self.last, self.first)

    def signed(self, signed: RootSigned, held: str, proof: Sequence[str]) -> None:
        """The statement about the next cycle, the root of the ends that are held, and the hashes that lead to it.

        Raises:
            HistoryDiffers: it is not what was kept, not its continuation, or not what is held.
        """
        cycle = self.last + 1
        root = str(check_signature(signed, cycle, self._keys)["history_root"])
        if held != root:
            raise HistoryDiffers(f"cycle {cycle}, history_root", f"{held}, as the ends have it", root)
        for each in self._kept:
            if each.cycle == cycle:
                each.check(root)
        if cycle > self.first:
            self._extends(cycle, root, proof)
        self.last, self._root = cycle, root

    def _extends(self, cycle: int, root: str, proof: Sequence[str]) -> None:
        try:
            hashes = [bytes.fromhex(each) for each in proof]
            verify_consistency(bytes.fromhex(self._root), cycle - 1, bytes.fromhex(root), cycle, hashes)
        except (ProofRefused, ValueError) as error:
            expected = f"the history root {root} to extend {self._root} of cycle {cycle - 1}"
            raise HistoryDiffers(f"cycle {cycle}", expected, f"a proof that does not show it: {error}") from error

    def unsigned(self, after: RootSigned | None) -> None:
        """Nothing is signed of the next cycle; `after` is what is signed of the one after it.

        Raises:
            HistoryDiffers: something is.
        """
        if after is not None:
            raise HistoryDiffers(f"cycle {self.last + 1}", "its end, signed as those after it are", "no signature")

    def concluded(self, unsigned: int) -> HistoryAudit:
        """There are no more statements.

        Raises:
            HistoryDiffers: something that has to be there is not.
        """
        check_there(self._kept, self.last)
        return concluded(self.first, self.last, unsigned, self._root, self._keys)


def check_there(kept: Sequence[Kept], size: int) -> None:
    """Refuse a history that ends before what was kept.

    Raises:
        HistoryDiffers: it does.
    """
    for each in kept:
        if size < each.cycle:
            each.check(f"a history of {size} cycles" if size else "no history")


def concluded(first: int, last: int, unsigned: int, root: str, keys: Sequence[Hotkey]) -> HistoryAudit:
    """All fits.

    Raises:
        HistoryDiffers: nobody has signed any of it.
    """
    if last < first:
        raise HistoryDiffers("the history", f"the end of cycle {first}, signed by the backend's key", "not signed")
    return HistoryAudit(first, last, unsigned, root, keys[-1], None)
