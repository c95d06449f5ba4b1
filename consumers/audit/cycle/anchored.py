"""The signed history root of one cycle, beside what the chain has of it."""

from __future__ import annotations

from time import perf_counter
from typing import cast

import orjson

from consumers.audit.anchors import Anchors, Found
from consumers.audit.cycle.fold import CycleFold
from consumers.audit.cycle.verdicts import Difference, Name, Verdict
from events.signed import RootSigned

ELSEWHERE = "`kinitro audit history` compares with it"


async def check_anchor(fold: CycleFold, chain: Anchors) -> Verdict:
    """The anchor of this cycle: at the block that was recorded, or else the newest there is.

    Raises:
        ChainTrouble: the chain cannot be read now.
    """
    started = perf_counter()
    root = _signed_root(fold)
    if root is None:
        return Verdict(Name.ANCHOR, None, "not checked: the end is not signed", perf_counter() - started)
    found, told = await chain.newest(), ""
    if (recorded := chain.recorded) is not None:
        record = await chain.of(recorded)
        if not record.same_chain or record.block_hash != recorded.block_hash:
            expected = f"block {recorded.block} with the hash {recorded.block_hash}, on the chain {recorded.genesis}"
            other = f"the hash {record.block_hash}" if record.same_chain else "another chain"
            return _verdict(Difference("the anchor", expected, other), "", started)
        found = record.found or found
        told = "" if record.found else f"not checked at block {recorded.block}: state discarded; "
    return _compared(fold, found, root, told, started)


def _compared(fold: CycleFold, found: Found, root: str, told: str, started: float) -> Verdict:
    if found.anchor is None or found.anchor.cycle != fold.cycle:
        detail = f"{told}not checked: at block {found.block} the chain has {found}; {ELSEWHERE}"
        return Verdict(Name.ANCHOR, None, detail, perf_counter() - started)
    if found.anchor.history_root != root:
        expected = f"the history root {root}, which is signed of cycle {fold.cycle}"
        return _verdict(Difference("the anchor", expected, f"at block {found.block} {found}"), "", started)
    return _verdict(None, f"{told}the chain has it at block {found.block}", started)


def _verdict(difference: Difference | None, agreed: str, started: float) -> Verdict:
    return Verdict.of(Name.ANCHOR, difference, agreed, perf_counter() - started)


def _signed_root(fold: CycleFold) -> str | None:
    if (placed := fold.one.get(RootSigned)) is None:
        return None
    try:
        return str(orjson.loads(cast("RootSigned", placed.recorded.event).statement)["history_root"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
