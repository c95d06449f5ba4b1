"""What to do about the newest history root, given what the finalized chain has. Pure.

AnchorRefused           our commitment is not to be overwritten; somebody has to look
├── NotOurs             the hotkey has a commitment that is no anchor
└── AnchorDiffers       the chain has an anchor that this log does not bear out

Nothing is remembered between two decisions. A submission whose fate is unknown is either in a finalized block, and
then it is seen; or the hotkey's next nonce says that something is under way, and it is waited for; or it is gone. And
if it comes back after all: a second one has the same nonce, and the chain takes one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from consumers.anchoring.chain import Seen
from events.anchors import Anchor, parse_anchor
from events.for_people import ForPeople

BLOCKS_MIN = 100
"""From one commitment to the next. The chain has had a limit of 100 blocks, and has one of 3,100 bytes in 360 blocks,
of which an anchor takes about 100: so this keeps to both, without asking which is in force."""
BLOCK_S = 12.0


class AnchorRefused(ForPeople):
    """The hotkey's commitment is not overwritten: somebody has to look at it first."""


class NotOurs(AnchorRefused):
    """The hotkey serves another purpose; choose one for anchoring alone."""


class AnchorDiffers(AnchorRefused):
    """The log, or the chain, is not the one that was anchored."""


@dataclass(frozen=True, slots=True)
class Record:
    """The chain has this anchor, and the log does not say so yet."""

    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Submit:
    """Commit to this."""

    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after so many blocks."""

    blocks: int
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the log says."""

    newest: Anchor
    """The newest root that is signed."""
    recorded: int
    """The newest cycle of which it is recorded that it is anchored; 0 where none is."""


def is_due(known: Known, interval: int) -> bool:
    """Whether the newest root is `interval` cycles past the last that was anchored. The first is due at once."""
    return known.recorded == 0 or known.newest.cycle >= known.recorded + interval


def decide(known: Known, seen: Seen, signed: Anchor | None) -> Record | Submit | Wait:
    """What to do when an anchor is due. `signed` is the log's root of the cycle that the chain has an anchor of.

    Raises:
        AnchorRefused: in one of its kinds.
    """
    held = anchor_of(seen)
    if held is not None:
        _check_borne_out(held, signed)
        if held.cycle > known.recorded:
            return Record(held)
    if seen.is_under_way:
        return Wait(1, "something that the hotkey sent is in no finalized block yet")
    if seen.held is not None and (left := seen.held.block + BLOCKS_MIN - seen.block) > 0:
        return Wait(left, f"its last commitment is of block {seen.held.block}, and now is block {seen.block}")
    return Submit(known.newest)


def anchor_of(seen: Seen) -> Anchor | None:
    """The anchor that the chain has.

    Raises:
        NotOurs: it has something else.
    """
    if seen.held is None:
        return None
    anchor = parse_anchor(seen.held.text or "")
    if anchor is None:
        raise NotOurs(
            f"the hotkey's commitment of block {seen.held.block} is {seen.held.text!r}, expected an anchor or none:"
            " it is not overwritten; name a hotkey that serves nothing else with --anchor-hotkey"
        )
    return anchor


def _check_borne_out(held: Anchor, signed: Anchor | None) -> None:
    if held == signed:
        return
    found = "no signed root of it" if signed is None else f"the history root {signed.history_root}"
    raise AnchorDiffers(
        f"the chain has an anchor of cycle {held.cycle} with the history root {held.history_root}, and this"
        f" log has {found}: it is not the log that was anchored, or it lacks its end; find out which is"
        " right, and then name another hotkey with --anchor-hotkey"
    )
