"""The newest history root, written where nobody can write it again: as a commitment on the chain.

The commitment is text, at most 128 bytes: `kinitro/anchor/1:<cycle>:<history_root>`, both as `RootSigned` of that
cycle has them. A hotkey has one commitment, so a newer anchor takes the place of the older one; the older one stays
in the state of the blocks before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Hex256, HotkeyField
from events.ids import CycleId

KIND = "kinitro/anchor/1"

_TEXT = re.compile(rf"{KIND}:([1-9][0-9]{{0,18}}):([0-9a-f]{{64}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is committed."""

    cycle: CycleId
    history_root: str
    """Of the cycles 1 to `cycle`, lower-case hex."""

    @property
    def text(self) -> str:
        return f"{KIND}:{self.cycle}:{self.history_root}"


def parse_anchor(text: str) -> Anchor | None:
    """None where it is some other commitment."""
    found = _TEXT.fullmatch(text)
    return None if found is None else Anchor(CycleId(int(found[1])), found[2])


class RootAnchored(Event):
    """The finalized chain has the history root of this cycle, as the commitment of this hotkey."""

    type: ClassVar[str] = "kinitro.cycle.root_anchored"
    cycle: Annotated[CycleId, Field(ge=1)]
    history_root: Hex256
    genesis: Hex256
    """Hash of the chain's first block: which chain."""
    netuid: Annotated[int, Field(ge=0, le=65535)]
    hotkey: HotkeyField
    block: Annotated[int, Field(ge=0)]
    """In which it was committed."""
    block_hash: Hex256
