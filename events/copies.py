"""Facts about copies: two miners whose policies are the same. Nothing follows from them but that they are told."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, Hex256, HotkeyField, UidField, Value
from events.ids import CycleId


class CopyKind(StrEnum):
    """How it was seen."""

    FILES = "files"
    """A file of weights of the committed repository is byte for byte one of an earlier committer's."""
    ACTIONS = "actions"
    """On every episode that both completed, all actions were the same."""


class Copy(Value):
    """One miner that has what an earlier committer has. Earlier: by the block of the commitment, then by uid."""

    uid: UidField
    hotkey: HotkeyField
    of_hotkey: HotkeyField
    kind: CopyKind
    files: tuple[Hex256, ...]
    """SHA-256 of the files that are the same, rising; none of kind `actions`."""
    seen_in: CycleId
    """Of kind `files`: the cycle in which the earlier committer was checked. Else this one."""
    episodes: Annotated[int, Field(ge=0)]
    """Of kind `actions`: how many episodes both completed. Else 0."""


class CopiesFound(Event):
    """All copies that the events of a cycle show."""

    type: ClassVar[str] = "kinitro.cycle.copies"
    cycle: CycleId
    copies: Annotated[tuple[Copy, ...], Field(min_length=1)]
    """By uid, then by the earlier committer, then by kind."""
