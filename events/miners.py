"""Facts about miners: who is registered, and what each has committed to."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from events.event import Event, HotkeyField, Text, UidField, Value


class Commitment(Value):
    """What a miner has promised to serve, and where."""

    repo: Text
    """Hugging Face repository, `user/name`."""
    revision: Text
    endpoint: Text | None
    """Base URL of the policy server; None where it was committed encrypted."""
    block: Annotated[int, Field(ge=0)]
    """The block of the commitment. It decides who was earlier."""


class _MinerEvent(Event):
    hotkey: HotkeyField
    ordinal: Annotated[int, Field(ge=1)]
    """1, 2, 3, ...: the place of this event in the life of this hotkey."""
    uid: UidField
    block: Annotated[int, Field(ge=0)]
    """The block at which this was seen."""


class MinerDiscovered(_MinerEvent):
    """A hotkey holds a uid and has a valid commitment, for the first time or again after it had departed."""

    type: ClassVar[str] = "kinitro.miner.discovered"
    commitment: Commitment


class MinerCommitmentChanged(_MinerEvent):
    """A known miner committed to another policy or endpoint."""

    type: ClassVar[str] = "kinitro.miner.commitment_changed"
    commitment: Commitment


class MinerDeparted(_MinerEvent):
    """The hotkey no longer holds this uid, or has no commitment any more."""

    type: ClassVar[str] = "kinitro.miner.departed"
