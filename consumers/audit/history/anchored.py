"""A history beside what the chain has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.audit.anchors import Anchors, Found
from consumers.audit.history.checks import HistoryDiffers, Kept
from events.anchors import RootAnchored


@dataclass(frozen=True, slots=True)
class Anchored:
    """Roots that the history must have, and what is to be told of them."""

    roots: tuple[Kept, ...] = ()
    notes: tuple[str, ...] = ()


def recorded_roots(recorded: Sequence[RootAnchored]) -> tuple[Kept, ...]:
    """What the log itself says was anchored."""
    return tuple(Kept(each.cycle, each.history_root, f"which {_named(each)} says is anchored") for each in recorded)


async def compared(chain: Anchors, recorded: Sequence[RootAnchored]) -> Anchored:
    """What the chain has, now and at the newest block in which the log says that something was anchored.

    Raises:
        HistoryDiffers: the chain and the log's record of it differ.
        ChainTrouble: the chain cannot be read now.
    """
    last = recorded[-1] if recorded else None
    newest = await chain.newest()
    notes = [] if last is None else [await _checked(chain, last)]
    if newest.anchor is None:
        if last is not None:
            raise _differs(last, f"at block {newest.block} {newest}")
        return Anchored((), (f"anchor not checked: {chain.hotkey} has {newest} at block {newest.block}",))
    if last is not None and newest.anchor.cycle < last.cycle:
        raise _differs(last, f"at block {newest.block} {newest}")
    root = Kept(
        newest.anchor.cycle, newest.anchor.history_root, f"which is anchored on the chain at block {newest.block}"
    )
    note = f"the chain has the history root of cycle {root.cycle} at block {newest.block}, by {chain.hotkey}"
    return Anchored((root,), (*notes, note))


async def _checked(chain: Anchors, recorded: RootAnchored) -> str:
    if recorded.hotkey != chain.hotkey:
        raise _differs(recorded, f"--anchor-hotkey {chain.hotkey}")
    record = await chain.of(recorded)
    if not record.same_chain:
        raise _differs(recorded, f"a chain with another first block than {recorded.genesis}")
    if record.block_hash != recorded.block_hash:
        raise _differs(recorded, f"block {recorded.block} with the hash {record.block_hash}")
    if record.found is None:
        return f"{_named(recorded)} not checked: state of block {recorded.block} discarded; name an archive node"
    if not _is_of(record.found, recorded):
        raise _differs(recorded, f"at block {recorded.block} {record.found}")
    return f"{_named(recorded)} is on the chain since block {recorded.block}"


def _is_of(found: Found, recorded: RootAnchored) -> bool:
    anchor = found.anchor
    return anchor is not None and (anchor.cycle, anchor.history_root) == (recorded.cycle, recorded.history_root)


def _named(recorded: RootAnchored) -> str:
    return f"the recorded anchor of cycle {recorded.cycle}"


def _differs(recorded: RootAnchored, found: str) -> HistoryDiffers:
    expected = (
        f"the history root {recorded.history_root} committed by {recorded.hotkey} in block {recorded.block}"
        f" ({recorded.block_hash}), as the log says"
    )
    return HistoryDiffers(f"cycle {recorded.cycle}, anchor", expected, found)
